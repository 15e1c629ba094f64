"""Builds the checkout's environment for `make`: `python3 ops/install.py .venv`.

Says beforehand what it takes, shows how far it is, can be interrupted, and goes on when it is called again. Standard
library only: it runs before anything is installed. uv installs the packages, in a twentieth of pip's time; where it
can't (an index that only pip is told of, a platform without a wheel of it) pip does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).parents[1]
LOCK = ROOT / "ops" / "requirements.lock"
UV_LOCK = ROOT / "ops" / "requirements-uv.lock"
# What uv calls the settings of pip that it does not read.
SETTINGS_OF_PIP = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
# An index that uv can't reach must not hold pip up.
PATIENCE_OF_UV = {"UV_HTTP_TIMEOUT": "30", "UV_HTTP_RETRIES": "1"}
INTERRUPTED = 130
SHOWN_LINES = 15
PACKAGE = re.compile(r"^[a-z0-9]", re.IGNORECASE)
# What is downloaded for this lock on x86-64, measured; it takes 800 MB once unpacked.
DOWNLOAD_MEGABYTES = 200


class StepFailed(Exception):
    """A step ended with an error; the message is for people."""


def main() -> int:
    """The exit code."""
    if sys.version_info < OLDEST:
        return _end(f"Redraft needs Python 3.11 or later, this is {sys.version.split()[0]}: make PYTHON=python3.12", 1)
    folder = Path(sys.argv[1])
    try:
        _build(folder, folder / "bin" / "python")
    except StepFailed as error:
        return _end(str(error), 1)
    except KeyboardInterrupt:
        return _end("\ninterrupted; the same command goes on", INTERRUPTED)
    return 0


def _build(folder: Path, python: Path) -> None:
    if not _has_pip(python):  # none yet, or half of one
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], f"making {folder}")
    packages = sum(bool(PACKAGE.match(line)) for line in LOCK.read_text().splitlines())
    print(
        f"installing Redraft's own packages into {folder}: {packages} of them, about {DOWNLOAD_MEGABYTES} MB to "
        "download where the cache has none",
        flush=True,
    )
    begun = time.monotonic()
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    try:
        _run([*pip, "-r", str(UV_LOCK)], "installing uv")
        uv = [str(folder / "bin" / "uv"), "pip", "install", "--python", str(python)]
        settings = _settings_of_uv(python)
        # As pip does: where Python may not write byte code, each start of `redraft` would compile hundreds of modules.
        _run([*uv, "--compile-bytecode", "-r", str(LOCK)], "installing the packages by uv", environment=settings)
        _run([*uv, "--no-deps", "-e", str(ROOT)], "installing Redraft by uv", environment=settings)
    except StepFailed as failure:
        print(f"uv can't install them, pip does, which takes a minute or two more; {failure}", file=sys.stderr)
        _run([*pip, "-r", str(LOCK)], "installing the packages", packages)
        _run([*pip, "--no-deps", "-e", str(ROOT)], "installing Redraft")
    print(f"installed in {time.monotonic() - begun:.0f} s", flush=True)


def _settings_of_uv(python: Path) -> dict[str, str]:
    """The variables that make uv use the index and the certificates that pip is told to use."""
    command = [str(python), "-m", "pip", "config", "list"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    given = {name: value.strip("'\"") for name, value in re.findall(r"^[^=]*\.([a-z-]+)=(.+)$", told, re.MULTILINE)}
    known = {ours: given[theirs] for theirs, ours in SETTINGS_OF_PIP.items() if theirs in given}
    return {**PATIENCE_OF_UV, **known, **os.environ}


def _has_pip(python: Path) -> bool:
    command = [str(python), "-m", "pip", "--version"]
    return python.exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str], what: str, packages: int = 0, environment: Mapping[str, str] | None = None) -> None:
    """Runs one step, whose own output is shown only if it fails. Raises `StepFailed`."""
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    ) as process:
        for line in _shown(process.stdout or (), packages):
            said.append(line)
    if process.returncode:
        raise StepFailed(f"{what} failed ({process.returncode}):\n{''.join(said[-SHOWN_LINES:])}")


def _shown(lines: Iterator[str] | Sequence[str], packages: int) -> Iterator[str]:
    """The lines of pip as they come; on a terminal, how many packages were found so far."""
    found, terminal = 0, packages and sys.stdout.isatty()
    for line in lines:
        yield line
        found += line.startswith("Collecting ")
        if terminal:
            step = "unpacking them" if line.startswith("Installing collected") else f"{found} of {packages}"
            print(f"\r  {step:<20}", end="", flush=True)
    if terminal:
        print("\r" + " " * 22 + "\r", end="", flush=True)


def _end(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
