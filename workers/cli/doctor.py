"""`redraft doctor`: looks at everything that Redraft needs and says what to do. Changes nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workers.cli import output

if TYPE_CHECKING:
    from tasks.settings import Settings

app = typer.Typer()

# The engine's environment and the smallest model fit in this; below the second, logs alone may fill the disk.
COMFORTABLE_BYTES, LEAST_BYTES = 6_000_000_000, 500_000_000
PROBE_SECONDS = 5.0
Outcome = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one look came to; `advice` says what to do where it isn't ok."""

    name: str
    outcome: Outcome
    detail: str
    advice: str = ""


@app.command()
def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also search the database for broken promises.")] = False,
    as_json: output.Json = False,
) -> None:
    """Check everything that Redraft needs; exits 1 if something that it cannot do without is missing."""
    from tasks.settings import load_settings

    findings = []
    for finding in examine(load_settings(), deep=deep):
        findings.append(finding)
        if not as_json:
            advice = f" → {finding.advice}" if finding.advice else ""
            output.line(f"{finding.outcome:<4}  {finding.name:<9} {finding.detail}{advice}")
    if as_json:
        output.emit({"checks": [asdict(finding) for finding in findings]})
    if any(finding.outcome == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings, *, deep: bool = False) -> Iterator[Finding]:
    """Every look, one after the other; `deep` ones read every row."""
    looks: tuple[tuple[str, Callable[[Settings], Finding | None]], ...] = (
        ("python", python),
        ("home", home),
        ("disk", disk),
        ("sandbox", sandbox),
        ("runtimes", runtimes),
        ("gpu", gpu),
        ("stack", stack),
        ("postgres", postgres),
        ("broker", broker),
        ("worker", worker),
        ("relay", relay),
        ("engine", engine),
        ("memory", memory),
        ("cloud", cloud),
    )
    for name, look in looks:
        finding = _guarded(name, look, settings)
        if finding is not None:
            yield finding
    if deep:
        yield from promises(settings)


def _guarded(name: str, look: Callable[[Settings], Finding | None], settings: Settings) -> Finding | None:
    from tasks.errors import RedraftError

    try:
        return look(settings)
    except RedraftError as error:
        return Finding(name=name, outcome="fail", detail=" ".join(str(error).split("\n")))


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
    said = (result.stderr.strip().split("\n")[-1] or f"exit {result.exit_code}")[:200]
    return Finding(name="sandbox", outcome="fail", detail=said, advice="checks refuse to run outside it")


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


def gpu(_: Settings) -> Finding:
    """What the driver shows."""
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding(name="gpu", outcome="ok", detail="no NVIDIA driver: the engine runs a small model on the CPU")
    argv = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(argv, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name="gpu", outcome="warn", detail=f"nvidia-smi: {error}", advice="look at the driver")
    cards = "; ".join(asked.stdout.strip().split("\n"))
    if asked.returncode or not cards:
        return Finding(name="gpu", outcome="warn", detail="nvidia-smi shows no card", advice="look at the driver")
    return Finding(name="gpu", outcome="ok", detail=cards)


def stack(settings: Settings) -> Finding | None:
    """The parts of the local stack; None where services are configured instead."""
    from workers.local import stack as local
    from workers.local.home import Home

    if settings.database_url.get_secret_value():
        return None
    parts = local.status(Home(root=settings.home))
    if not parts:
        return Finding(
            name="stack", outcome="warn", detail="no local stack is running", advice="`redraft up` starts it"
        )
    ill = [
        f"{part.name} {part.health}" + (f" ({part.why})" if part.why else "")
        for part in parts
        if part.health != "ok" or part.why
    ]
    if ill:
        ill += [
            why for part in parts if part.name == "engine" and part.health == "down" if (why := _diagnosis(settings))
        ]
        advice = f"look into {settings.home / 'log'}; `redraft down` and `up` start it afresh"
        return Finding(name="stack", outcome="fail", detail=", ".join(ill), advice=advice)
    return Finding(name="stack", outcome="ok", detail=", ".join(part.name for part in parts))


def postgres(settings: Settings) -> Finding | None:
    """Whether it answers, with the schema of this release."""
    from tasks.store import migrate

    url = _database(settings)
    if url is None:
        return None
    now, head = migrate.current(url), migrate.head()
    if now != head:
        detail = f"the schema is {now or 'missing'}, this release is written for {head}"
        return Finding(name="postgres", outcome="fail", detail=detail, advice="run `redraft db upgrade`")
    return Finding(name="postgres", outcome="ok", detail=f"{_place(url)}, schema {now}")


def broker(settings: Settings) -> Finding | None:
    """Whether the Redis-protocol server answers; people need none, workers and the relay do."""
    from contextlib import closing

    from tasks.errors import BrokerUnavailable
    from workers.broker import Broker

    url = settings.broker_url.get_secret_value() or _of_stack(settings, "broker_url")
    if url is None:
        if not settings.database_url.get_secret_value():
            return None
        advice = "set REDRAFT_BROKER_URL where a worker or the relay shall run"
        return Finding(name="broker", outcome="warn", detail="none is configured", advice=advice)
    try:
        with closing(Broker(url, seconds=PROBE_SECONDS)) as client:
            client.ping()
    except BrokerUnavailable as error:
        advice = "jobs are kept and wait until it is back"
        return Finding(name="broker", outcome="fail", detail=f"{_place(url)}: {error}", advice=advice)
    return Finding(name="broker", outcome="ok", detail=_place(url))


def worker(settings: Settings) -> Finding | None:
    """Whether somebody takes turns."""
    from tasks.store.fleet import WORKER_SILENCE_SECONDS, live_workers
    from tasks.store.session import Database
    from workers.failures import read_failure
    from workers.local.home import Home

    url = _database(settings)
    if url is None:
        return None
    with Database(url, name="redraft doctor", pool=1) as database:
        workers = live_workers(database)
    alive = [one for one in workers if one.silent_seconds < WORKER_SILENCE_SECONDS]
    if not alive:
        silent = f"; {len(workers)} went silent" if workers else ""
        silent += (
            f"; the last one of this home: {why}" if (why := read_failure(Home(root=settings.home), "worker")) else ""
        )
        return Finding(name="worker", outcome="warn", detail=f"no worker is alive{silent}", advice="`redraft worker`")
    detail = "; ".join(
        f"{one.name} serves {','.join(one.lanes)} with {one.slots} slots for {','.join(one.modalities)}"
        for one in alive
    )
    return Finding(name="worker", outcome="ok", detail=detail)


def relay(settings: Settings) -> Finding | None:
    """Whether somebody wakes workers."""
    from tasks.store.reading import run_sql
    from tasks.store.session import Database

    url = _database(settings)
    if url is None:
        return None
    with Database(url, name="redraft doctor", pool=1) as database:
        found = run_sql(database, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'redraft relay'")
    if not found.rows:
        return Finding(name="relay", outcome="warn", detail="no relay is connected", advice="`redraft relay`")
    return Finding(name="relay", outcome="ok", detail="connected to Postgres")


def engine(settings: Settings) -> Finding | None:
    """What an attached endpoint is and lacks; the local stack's own engine shows among its parts."""
    from tasks.errors import EngineFault, InvalidInput
    from workers.engine.select import attach

    if not (asked := _attached(settings)).endpoint:
        return None
    try:
        host = attach(asked)
        host.examine()
    except (EngineFault, InvalidInput) as error:
        detail = " ".join(str(error).split())
        return Finding(name="engine", outcome="fail", detail=detail, advice="it must speak OpenAI's API")
    profile, lacks = host.profile, host.missing()
    detail = f"{host.describe()}, {profile.slots} slots of {profile.max_model_len} tokens"
    if lacks:
        return Finding(name="engine", outcome="warn", detail="; ".join((detail, *lacks)))
    return Finding(name="engine", outcome="ok", detail=detail)


def memory(settings: Settings) -> Finding:
    """Whether earlier jobs can teach."""
    from tasks.errors import MemoryUnavailable
    from workers.addresses import memory_bank

    bank = memory_bank(settings)
    if bank is None:
        advice = "`redraft up` starts one, REDRAFT_MEMORY_URL names a Qdrant server"
        return Finding(name="memory", outcome="ok", detail=f"none: jobs recall nothing; {advice}")
    try:
        count = bank.count()
    except MemoryUnavailable as error:
        return Finding(name="memory", outcome="warn", detail=str(error), advice="jobs go on without lessons")
    finally:
        bank.close()
    return Finding(name="memory", outcome="ok", detail=f"{count} lessons")


def cloud(settings: Settings) -> Finding:
    """Whether anything may leave."""
    from tasks.types import Egress

    if not settings.openai_api_key.get_secret_value():
        return Finding(name="cloud", outcome="ok", detail="no OpenAI key: nothing can leave this deployment")
    if settings.egress is not Egress.FULL:
        detail = f"an OpenAI key is configured and egress is {settings.egress}: nothing leaves this deployment"
        return Finding(name="cloud", outcome="ok", detail=detail)
    return Finding(name="cloud", outcome="ok", detail="an OpenAI key is configured and egress is full: text may leave")


def promises(settings: Settings) -> Iterator[Finding]:
    """One finding for each invariant of the design, over all the rows that the login may see."""
    from tasks.errors import RedraftError
    from tasks.store.invariants import INVARIANTS, breaches
    from tasks.store.session import Database

    url = _of_stack(settings, "worker_url") or settings.database_url.get_secret_value()
    if not url:
        return
    try:
        with Database(url, name="redraft doctor", pool=1) as database:
            found = breaches(database)
    except RedraftError as error:
        yield Finding(name="promises", outcome="fail", detail=" ".join(str(error).split("\n")))
        return
    for invariant in INVARIANTS:
        broken = [breach for breach in found if breach.invariant == invariant.name]
        first = f"; job {broken[0].job}: {broken[0].what}" if broken else ""
        detail = f"{invariant.name}: {len(broken)} breaches{first}"
        yield Finding(name="promises", outcome="fail" if broken else "ok", detail=detail)


def _diagnosis(settings: Settings) -> str:
    """Why the engine ended, where its log shows a known cause."""
    from workers.engine.diagnostics import diagnose, read_since
    from workers.local.home import Home

    diagnosis = diagnose(read_since(Home(root=settings.home).log / "engine.log", 0))
    return f"likely: {diagnosis.meaning}" if diagnosis else ""


def _bounds() -> str:
    """What bounds a program's memory and processes here."""
    from tasks.validators import cgroup

    if why := cgroup.why_not():
        return f"memory and processes are watched ({why})"
    return f"memory and processes are bounded by a cgroup below {cgroup.find_place()}, and watched"


def _database(settings: Settings) -> str | None:
    return settings.database_url.get_secret_value() or _of_stack(settings, "user_url")


def _of_stack(settings: Settings, name: str) -> str | None:
    from workers.local import stackfile

    found = stackfile.read(settings.home)
    return None if found is None else str(getattr(found, name))


def _attached(settings: Settings) -> Settings:
    """With the running stack's endpoint where none is configured here."""
    from pydantic import SecretStr

    if settings.endpoint or not (url := _of_stack(settings, "endpoint")):
        return settings
    key = SecretStr(_of_stack(settings, "endpoint_key") or "")
    named = {"endpoint": url, "endpoint_model": _of_stack(settings, "endpoint_model") or "", "endpoint_key": key}
    return settings.model_copy(update=named)


def _place(url: str) -> str:
    """Host, port and path of a URL, without its credentials."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or ''}{Path(parts.path)}"
