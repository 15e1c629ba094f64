"""What `redraft doctor` checks of this machine: interpreter, disk, sandbox, plug-ins, cards. Changes nothing."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from workers.cli.findings import Finding

if TYPE_CHECKING:
    from tasks.settings import Settings

# The engine's environment and the smallest model fit in this; below the second, logs alone may fill the disk.
COMFORTABLE_BYTES, LEAST_BYTES = 6_000_000_000, 500_000_000
PROBE_SECONDS = 5.0


def python(_: Settings) -> Finding:
    """The interpreter."""
    return Finding(name="python", outcome="ok", detail=f"{sys.version.split()[0]} at {sys.executable}")


def home(settings: Settings) -> Finding:
    """Whether the home can be written."""
    import tempfile

    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            pass
    except OSError as error:
        advice = "give yourself the right to write there, or set REDRAFT_HOME"
        return Finding(name="home", outcome="fail", detail=f"{settings.home}: {error.strerror}", advice=advice)
    return Finding(name="home", outcome="ok", detail=str(settings.home))


def disk(settings: Settings) -> Finding:
    """Room for the engine, models and data."""
    folder = next(path for path in (settings.cache, *settings.cache.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free for {settings.cache}"
    if free < LEAST_BYTES:
        return Finding(name="disk", outcome="fail", detail=detail, advice="free some space")
    if free < COMFORTABLE_BYTES:
        advice = "the engine and a small model need about 6 GB when they are first fetched"
        return Finding(name="disk", outcome="warn", detail=detail, advice=advice)
    return Finding(name="disk", outcome="ok", detail=detail)


def sandbox(settings: Settings) -> Finding:
    """Whether checks can run at all. Raises `SandboxUnavailable`, which says what to do."""
    from tasks.heartbeat import SilentHeartbeat
    from tasks.types import SandboxJob
    from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

    box = BubblewrapSandbox(default_runtime_folder(settings.cache))
    job = SandboxJob(argv=("python", "-c", "print('alive')"), timeout_seconds=30)
    result = box.run(job, SilentHeartbeat())
    if result.exit_code == 0 and result.stdout.strip() == "alive":
        detail = f"a program ran in it in {result.seconds:.2f} s; {_bounds()}"
        return Finding(name="sandbox", outcome="ok", detail=detail)
    error = (result.stderr.strip().split("\n")[-1] or f"exit {result.exit_code}")[:200]
    return Finding(name="sandbox", outcome="fail", detail=error, advice="checks refuse to run outside it")


def runtimes(settings: Settings) -> Finding:
    """The packages that checks may name."""
    from tasks.validators.packages import NamedRuntimes
    from tasks.validators.sandbox import default_runtime_folder

    kept = NamedRuntimes(default_runtime_folder(settings.cache))
    shown = []
    for runtime in map(kept.find, kept.names()):
        later = "" if runtime.built else ", built when first used"
        shown.append(f"{runtime.name} ({' '.join(runtime.packages)}{later})")
    return Finding(name="runtimes", outcome="ok", detail="; ".join(shown))


def toolchains(_: Settings) -> Finding:
    """The compilers and interpreters of the system that the sandbox shows, and what brings the others."""
    from tasks.validators.toolchains import TOOLCHAINS

    found = [f"{one.name} ({one.describe()})" for one in TOOLCHAINS.values() if one.path is not None]
    missing = [f"{one.name}: {one.advice}" for one in TOOLCHAINS.values() if one.path is None]
    advice = f"for checks in {'; '.join(missing)}" if missing else ""
    return Finding(name="compilers", outcome="ok", detail="; ".join(found) or "none", advice=advice)


def plugins(_: Settings) -> Finding:
    """Whether the strategies and kinds of checks that are installed here can be loaded."""
    from tasks.validators import registry
    from workers.plugins import broken_plugins
    from workers.strategies import load_strategies

    strategies = load_strategies()
    if broken := broken_plugins(strategies):
        detail = "; ".join(f"{plugin}: {why}" for plugin, why in broken.items())
        advice = "a worker here leaves jobs that name them to other workers; repair or uninstall them"
        return Finding(name="plugins", outcome="warn", detail=detail, advice=advice)
    kinds = ", ".join(registry.kinds())
    return Finding(name="plugins", outcome="ok", detail=f"{', '.join(sorted(strategies.working))}; {kinds}")


def gpu(_: Settings) -> Finding:
    """The cards that the NVIDIA driver shows."""
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding(name="gpu", outcome="ok", detail="no NVIDIA driver: the engine runs on the processor")
    argv = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        query = subprocess.run(argv, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name="gpu", outcome="warn", detail=f"nvidia-smi: {error}", advice="look at the driver")
    cards = "; ".join(query.stdout.strip().split("\n"))
    if query.returncode or not cards:
        return Finding(name="gpu", outcome="warn", detail="nvidia-smi shows no card", advice="look at the driver")
    return Finding(name="gpu", outcome="ok", detail=cards)


def _bounds() -> str:
    """What bounds a program's memory and processes here."""
    from tasks.validators import cgroup

    if why := cgroup.unavailable_reason():
        return f"memory and processes are watched ({why})"
    return f"memory and processes are bounded by a cgroup below {cgroup.find_parent()}, and watched"
