"""`redraft sandbox add | ls`: the packages that a check may import, by the name of their runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.errors import InvalidInput
from tasks.jobfolder import Typed
from tasks.settings import load_settings
from tasks.validators.files import read_text
from tasks.validators.packages import PACKAGED, NamedRuntime, NamedRuntimes, check_name
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tasks.validators.toolchains import TOOLCHAINS
from workers.cli.output import Json, emit, note, table

app = typer.Typer(
    help="Manage the packages that checks may import, by the name of their runtime.", rich_markup_mode=None
)
LOCK_BYTES = 1_000_000


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The name that checks use: `runtime: NAME`.")],
    packages: Annotated[
        list[str] | None,
        typer.Argument(metavar="PACKAGE...", help="Packages of the registry, such as pandas or numpy>=2.4."),
    ] = None,
    lock: Annotated[
        Path | None, typer.Option("--lock", metavar="FILE", help="Instead of packages: install exactly this lock.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build a named runtime from wheels of the registry; a lock records their versions and hashes.

    The packages are then imported in the sandbox; if that fails, nothing is kept. Run it on the machine of a worker
    that serves lane check, as the worker's user.
    """
    folder = default_runtime_folder(load_settings().cache)
    runtimes = NamedRuntimes(folder, BubblewrapSandbox(folder).verify_packages)
    runtime = _add(runtimes, name, packages or [], lock)
    if as_json:
        emit(_row(runtime))
        return
    note(f"runtime {name}: {', '.join(runtime.packages)}")
    if runtime.lock:
        note(f"its lock is {runtime.lock}; `redraft sandbox add {name} --lock FILE` builds the same again")


@app.command("ls")
def list_runtimes(as_json: Json = False) -> None:
    """List this machine's runtimes and their packages, and the toolchains of its system."""
    runtimes = NamedRuntimes(default_runtime_folder(load_settings().cache))
    rows = [_row(runtimes.find(name)) for name in runtimes.names()]
    toolchains = [toolchain for name, toolchain in TOOLCHAINS.items() if name not in runtimes.names()]
    found = {one.name: one.describe() for one in toolchains if one.path is not None}
    if as_json:
        missing = {one.name: one.advice for one in toolchains if one.path is None}
        emit({"runtimes": rows, "toolchains": found, "missing": missing})
        return
    shown = [(row["runtime"], "yes" if row["built"] else "at first use", ", ".join(row["packages"])) for row in rows]
    table(("runtime", "built", "packages"), [*shown, *((name, "system", what) for name, what in found.items())])
    for toolchain in toolchains:
        if toolchain.path is None:
            note(f"{toolchain.name} is missing: {toolchain.advice}")


def _add(runtimes: NamedRuntimes, name: str, packages: list[str], lock: Path | None) -> NamedRuntime:
    check_name(name)
    if lock is not None and packages:
        raise InvalidInput("PACKAGE", packages[0], "nothing beside --lock, which names every package")
    if lock is not None:
        return runtimes.add_locked(name, read_text("--lock", Typed(str(lock)), None, LOCK_BYTES)[1])
    if packages:
        note(f"choosing versions of {', '.join(packages)} and fetching them")
        return runtimes.add(name, packages)
    if name not in PACKAGED:
        raise InvalidInput("PACKAGE", "", f"a package, or --lock FILE; only {', '.join(PACKAGED)} needs none")
    return runtimes.add_packaged(name)


def _row(runtime: NamedRuntime) -> dict[str, Any]:
    return {
        "runtime": runtime.name,
        "built": runtime.built,
        "packages": list(runtime.packages),
        "lock": None if runtime.lock is None else str(runtime.lock),
    }
