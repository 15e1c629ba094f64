"""Our own programs in the sandbox (`inside/`): a package in its runtime, imported from byte code.

Must not know what any of them does.
"""

from __future__ import annotations

from importlib import resources

PACKAGE = "redraft_inside"
_AT = "/opt/redraft/inside"  # as confinement mounts the runtime


def argv_of(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that calls `main` of the module `name`."""
    start = f"import sys; sys.path.insert(0, {_AT!r}); from {PACKAGE}.{name} import main; main()"
    return ("python", "-P", "-s", "-c", start, *arguments)


def sources() -> dict[str, bytes]:
    """The package's files, by name."""
    folder = resources.files("tasks.validators").joinpath("inside")
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".py")}
