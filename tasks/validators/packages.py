"""Named runtimes: packages that a check may import (`runtime: NAME`), each in a folder that the sandbox mounts beside
its own interpreter. A lock records versions and hashes, so that the same runtime can be built again.

`numpy` comes with Redraft and is copied from the installed packages, without a network. Others are wheels from the
registry, fetched by pip with the machine's own configuration; their code never runs outside the sandbox. Must not know
how a program is confined.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InvalidInput, SandboxUnavailable
from tasks.validators.distributions import copy_distributions, installed_version, with_requirements
from tasks.validators.folders import compile_sources, locked, open_to_readers, prepare

BUILD_SECONDS = 900.0
# Runtimes that come with Redraft; its own environment contains their packages.
PACKAGED = {"numpy": ("numpy",)}
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
NAME_ALLOWED = "up to 64 small letters, digits, - and _"
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w.,-]+\])?([<>=!~]=?[\w.*+!<>=~,-]+)?")
_LOCKED = re.compile(r"([A-Za-z0-9][\w.-]*)==([\w.+!-]+)( ?;[ \w.'\"<>=()!]+)?((?: --hash=sha256:[0-9a-f]{64})+)")
_LOCK_ALLOWED = "lines such as `numpy==2.4.6 --hash=sha256:…`, as `redraft sandbox add` writes them"


# Imports each module of the distributions in its arguments, except private ones (with an underscore).
IMPORT_ALL = """
import importlib, sys
from importlib.metadata import packages_distributions
same = lambda name: name.lower().replace("_", "-").replace(".", "-")
names = set(map(same, sys.argv[1:]))
for module, owners in packages_distributions().items():
    if names & set(map(same, owners)) and module.isidentifier() and not module.startswith("_"):
        importlib.import_module(module)
"""

Verify = Callable[[Path, Sequence[str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRuntime:
    """`packages` are NAME==VERSION; `built` says whether its folder exists; `lock` is None for one of Redraft's own."""

    name: str
    packages: tuple[str, ...]
    folder: Path
    built: bool
    lock: Path | None


class NamedRuntimes:
    """The runtimes of one machine, below the sandbox's `folder`. Threads and processes may share it. `verify` is called
    with each folder that `add` builds and the names of the packages in it; what it raises stops the build."""

    def __init__(self, folder: Path, verify: Verify | None = None) -> None:
        self._folder, self._verify = folder / "named", verify

    def names(self) -> list[str]:
        """Every runtime that a check may name here."""
        locks = {path.stem for path in self._folder.glob("*.lock") if NAME.fullmatch(path.stem)}
        return sorted(locks | PACKAGED.keys())

    def find(self, name: str) -> NamedRuntime:
        """The runtime of this name. Raises `SandboxUnavailable` where there is none."""
        lock = self._lock_path(name) if NAME.fullmatch(name) else None  # the name is also a file name
        if lock and lock.is_file():
            lines = lock_lines(lock.read_text(encoding="utf-8"))
        elif name in PACKAGED:
            lines, lock = _packaged_lines(name), None
        else:
            known = ", ".join(self.names())
            advice = f"`redraft sandbox add {name} PACKAGE...` builds it"
            raise SandboxUnavailable(f"there is no runtime {name!r} on this machine, only {known}; {advice}")
        folder = self._folder / f"{name}-{_key(lines)}"
        packages = tuple(line.partition(" ")[0] for line in lines)
        return NamedRuntime(name=name, packages=packages, folder=folder, built=folder.is_dir(), lock=lock)

    def ensure(self, name: str) -> Path:
        """The folder of `name`, built where it is missing. Raises `SandboxUnavailable`."""
        runtime = self.find(name)
        if not runtime.built:
            self._build(runtime.folder, _install_locked(runtime.lock) if runtime.lock else _copy_installed(name), ())
        return runtime.folder

    def add(self, name: str, packages: Sequence[str]) -> NamedRuntime:
        """Resolves versions in the registry, builds, stores the lock. Raises `InvalidInput`, `SandboxUnavailable`."""
        check_name(name)
        for package in packages:
            if not _PACKAGE.fullmatch(package):
                raise InvalidInput("PACKAGE", package, "a name in the registry, such as numpy or numpy>=2.4,<3")
        self._prepare()
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".choosing-") as temporary:
            report = Path(temporary) / "report.json"
            _pip("--dry-run", "--ignore-installed", "--report", str(report), *packages)
            lines = _lock_lines_of_report(json.loads(report.read_text(encoding="utf-8")))
        names = [re.split(r"[^\w.-]", package, maxsplit=1)[0] for package in packages]
        return self._add(name, lock_lines("\n".join(lines)), names)

    def add_locked(self, name: str, lock: str) -> NamedRuntime:
        """Builds what `lock` names, and nothing else. Raises `InvalidInput`, `SandboxUnavailable`."""
        check_name(name)
        self._prepare()
        lines = lock_lines(lock)
        return self._add(name, lines, [line.partition("==")[0] for line in lines])

    def add_packaged(self, name: str) -> NamedRuntime:
        """Builds a runtime that comes with Redraft, and replaces any other of its name. Raises `SandboxUnavailable`."""
        self._lock_path(name).unlink(missing_ok=True)
        self.ensure(name)
        return self.find(name)

    def _add(self, name: str, lines: Sequence[str], names: Sequence[str]) -> NamedRuntime:
        folder = self._folder / f"{name}-{_key(lines)}"
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".locking-") as temporary:
            new_lock = Path(temporary) / "lock"
            new_lock.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            new_lock.chmod(0o644)
            self._build(folder, _install_locked(new_lock), names)
            new_lock.rename(self._lock_path(name))
        return self.find(name)

    def _lock_path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _prepare(self) -> None:
        try:
            prepare(self._folder)
        except OSError as error:
            raise SandboxUnavailable(f"runtimes cannot be kept in {self._folder}: {error}") from error

    def _build(self, folder: Path, fill: Callable[[Path], None], names: Sequence[str]) -> None:
        self._prepare()
        with locked(self._folder / ".build"):
            if folder.is_dir():
                return
            for leftover in self._folder.glob(".building-*"):  # left by a killed builder, since we hold the lock
                shutil.rmtree(leftover, ignore_errors=True)
            building = Path(tempfile.mkdtemp(prefix=".building-", dir=self._folder))
            try:
                fill(building)
                compile_sources(building)
                open_to_readers(building)
                if self._verify and names:
                    self._verify(building, names)
                building.rename(folder)
            except OSError as error:
                raise SandboxUnavailable(f"the runtime cannot be built in {folder}: {error}") from error
            finally:
                shutil.rmtree(building, ignore_errors=True)


def check_name(name: str) -> None:
    """Raises `InvalidInput`."""
    if not NAME.fullmatch(name):
        raise InvalidInput("NAME", name, NAME_ALLOWED)


def lock_lines(lock: str) -> list[str]:
    """The requirements of a lock, one a line and sorted: a name, a version, a marker, hashes. Raises `InvalidInput`."""
    joined = re.sub(r"\s*\\\n\s*", " ", lock.removeprefix("\ufeff"))
    lines = [" ".join(line.split()) for line in joined.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    wrong = [line for line in lines if not _LOCKED.fullmatch(line)]
    if wrong or not lines:
        raise InvalidInput("--lock", (wrong or [lock])[0], _LOCK_ALLOWED)
    return sorted(lines)


@functools.cache  # each check calls it, and the environment of a process doesn't change
def _packaged_lines(name: str) -> list[str]:
    return sorted(
        f"{distribution}=={installed_version(distribution)}" for distribution in with_requirements(PACKAGED[name])
    )


def _key(lines: Sequence[str]) -> str:
    """A key of all that makes two builds differ."""
    return hashlib.sha256("\n".join((*lines, sys.version, sysconfig.get_platform())).encode()).hexdigest()[:12]


def _lock_lines_of_report(report: dict[str, object]) -> list[str]:
    """Lines of a lock from pip's report (pip.pypa.io, installation report)."""
    lines = []
    for item in report["install"]:  # type: ignore[attr-defined]
        package, archive = item["metadata"], item["download_info"].get("archive_info", {})
        digest = archive.get("hashes", {}).get("sha256", "")
        lines.append(f"{package['name']}=={package['version']} --hash=sha256:{digest}")
    return lines


def _copy_installed(name: str) -> Callable[[Path], None]:
    return lambda target: copy_distributions(target, PACKAGED[name])


def _install_locked(lock: Path) -> Callable[[Path], None]:
    return lambda target: _pip("--target", str(target), "--require-hashes", "--no-deps", "-r", str(lock))


def _pip(*arguments: str) -> None:
    """Installs wheels only: a source distribution would run its own code here."""
    command = [sys.executable, "-m", "pip", "install", "--only-binary", ":all:", "--no-compile", "--no-input"]
    command += ["--quiet", "--disable-pip-version-check", "--no-warn-script-location", *arguments]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SandboxUnavailable(f"pip did not finish in {BUILD_SECONDS:g} s") from None
    if process.returncode:
        errors = [
            line for line in process.stderr.splitlines() if line.startswith("ERROR")
        ] or process.stderr.splitlines()
        raise SandboxUnavailable(f"pip could not install the runtime: {(errors or ['it wrote nothing'])[-1]}")
