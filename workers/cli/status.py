"""`redraft down | status`. Cheap to import, as `workers.cli.main` is: people look at it often."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from tasks.errors import RedraftError
from tasks.locations import default_home
from workers.cli.output import Json, emit, note, table
from workers.home import Home

if TYPE_CHECKING:
    from tasks.store.breakers import Circuit
    from tasks.store.hookrows import HookRow
    from workers.local.record import PartStatus

app = typer.Typer(rich_markup_mode=None)


@app.command()
def down(as_json: Json = False) -> None:
    """Stop the local stack and everything it started."""
    from workers.local import stack as local

    home = Home(root=default_home())
    ran = local.stop(home)
    if as_json:
        emit({"parts": []})
    elif ran:
        note("the stack was stopped, and nothing of it is running")
    else:
        note(f"no stack of {home.root} was running")


@app.command()
def status(as_json: Json = False) -> None:
    """Show each part of the local stack: pid, port, health."""
    from workers.local import stack as local

    home = Home(root=default_home())
    parts, kind, circuits, hooks = local.status(home), _engine(home), _circuits(), _hooks()
    if as_json:
        names = ("name", "pid", "port", "address", "health", "why", "warning")
        rows = [{name: getattr(part, name) for name in names} for part in parts]
        emit(
            {
                "parts": [row | kind if row["name"] == "engine" else row for row in rows],
                "circuits": [dataclasses.asdict(circuit) for circuit in circuits],
                "hooks": [dataclasses.asdict(hook) for hook in hooks],
            }
        )
    elif not parts:
        note("no stack is running; start one with `redraft up`")
    else:
        shown = [(p.name, str(p.pid or "-"), str(p.port or "-"), p.health, p.address or "") for p in parts]
        table(("part", "pid", "port", "health", "address"), shown)
        if kind:
            note(f"engine: {kind['engine']} ({kind['version'] or 'starting'}) serves {kind['profile']}")
        for part in parts:
            if part.why:
                note(f"{part.name}: {part.why}")
        warn(parts)
    for circuit in () if as_json else circuits:
        note(f"circuit of {circuit}")
    for hook in () if as_json else hooks:
        if hook.trouble:
            note(f"hook {hook.name}: {hook.trouble}; see `redraft hooks ls`")


def warn(parts: Iterable[PartStatus]) -> None:
    """One line for each part that has something wrong with it although it works."""
    for part in parts:
        if part.warning:
            note(f"{part.name}: {part.warning}")


def _circuits() -> Sequence[Circuit]:
    """The open circuits of providers; they are read in full only where there is one."""
    from workers.addresses import database_url
    from workers.cli.client import job_lines

    try:
        with job_lines(database_url(), name="redraft status") as lines:
            if not lines.circuit_open():
                return ()
    except RedraftError:
        return ()
    from workers.cli.providers import open_circuits

    return open_circuits()


def _hooks() -> Sequence[HookRow]:
    """Who is told of events; none where the login may not know."""
    from workers.addresses import worker_database_url
    from workers.cli.client import job_lines

    try:
        with job_lines(worker_database_url(), name="redraft status") as lines:
            return lines.hooks()
    except RedraftError:
        return ()


def _engine(home: Home) -> dict[str, str]:
    """The kind, profile and version of the engine that runs; empty where none of ours does."""
    from workers.engine.record import read_record

    record = read_record(home)
    if record is None or not record.process.alive:
        return {}
    return {"engine": record.engine, "profile": record.profile, "version": record.version}
