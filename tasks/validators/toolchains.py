"""The toolchains of other languages: compilers and interpreters of the system, which the sandbox shows read-only. A
check may name one as its runtime, so that a machine that lacks it is known before a model writes for it.

Must not know how a program is confined.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.errors import SandboxUnavailable

# The sandbox has no other folders with programs; /usr/local is empty there.
SYSTEM = "/usr/bin:/bin"
_SHOWN = ("/usr/", "/bin/", "/lib/")
_HIDDEN = ("/usr/local/", "/usr/src/")
VERSION_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A language's `program`, and the package that brings it, by the command of the distribution that installs it."""

    name: str
    program: str
    version: tuple[str, ...] = ("--version",)
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path | None:
        """Where the sandbox has it; None where the system does not."""
        found = shutil.which(self.program, path=SYSTEM)
        real = str(Path(found).resolve()) if found else ""
        return Path(found) if found and real.startswith(_SHOWN) and not real.startswith(_HIDDEN) else None

    @property
    def advice(self) -> str:
        """What brings it where it is missing."""
        installer = next((name for name in self.packages if shutil.which(name)), "apt")
        own = shutil.which(self.program)
        note = f" ({own} is where the sandbox has no programs)" if own and self.path is None else ""
        return f"{installer} {'add' if installer == 'apk' else 'install'} {self.packages[installer]}{note}"

    def describe(self) -> str:
        """Its program with the first line that this says of its version."""
        try:
            ran = subprocess.run(
                [str(self.path or self.program), *self.version],
                capture_output=True,
                text=True,
                timeout=VERSION_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return self.program
        first = ran.stdout.strip().partition("\n")[0][:60]
        return f"{self.program} {first.removeprefix(self.program).strip()}".strip()


_GNU = ("-dumpfullversion", "-dumpversion")
TOOLCHAINS = {
    toolchain.name: toolchain
    for toolchain in (
        Toolchain(
            name="c",
            program="gcc",
            version=_GNU,
            packages={"apt": "gcc libc6-dev", "dnf": "gcc", "apk": "gcc musl-dev"},
        ),
        Toolchain(name="cpp", program="g++", version=_GNU, packages={"apt": "g++", "dnf": "gcc-c++", "apk": "g++"}),
        Toolchain(name="rust", program="rustc", packages={"apt": "rustc", "dnf": "rust", "apk": "rust"}),
        Toolchain(name="javascript", program="node", packages={"apt": "nodejs", "dnf": "nodejs", "apk": "nodejs"}),
        Toolchain(
            name="go", program="go", version=("version",), packages={"apt": "golang-go", "dnf": "golang", "apk": "go"}
        ),
    )
}


def available() -> tuple[str, ...]:
    """The names of those that the system has."""
    return tuple(name for name, toolchain in TOOLCHAINS.items() if toolchain.path is not None)


def require(name: str) -> None:
    """Raises `SandboxUnavailable` where the system lacks the toolchain of this name."""
    toolchain = TOOLCHAINS[name]
    if toolchain.path is None:
        raise SandboxUnavailable(f"{toolchain.program}, for runtime {name}, is missing here: {toolchain.advice}")
