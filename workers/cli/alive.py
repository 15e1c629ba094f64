"""`redraft alive`: what a container's health check asks. Cheap: one look into the database."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def alive(
    part: Annotated[str, typer.Argument(metavar="worker|relay", help="Whom to ask after.")] = "worker",
) -> None:
    """Exit 0 where this machine's worker serves a lane, or a relay is connected; else 1 with a line.

    A worker whose engine does not answer serves none of its lanes.
    """
    from tasks.errors import InvalidInput, PartFailed
    from tasks.store.fleet import WORKER_SILENCE_SECONDS, live_workers, relay_connected
    from tasks.store.session import Database
    from workers.addresses import worker_database_url

    if part not in ("worker", "relay"):
        raise InvalidInput("PART", part, "one of worker, relay")
    with Database(worker_database_url(), name="redraft alive", pool=1) as database:
        if part == "relay":
            if not relay_connected(database):
                raise PartFailed("no relay is connected to Postgres")
            return
        mine = [one for one in live_workers(database) if one.host == socket.gethostname()]
    if not any(one.lanes and one.silent_seconds < WORKER_SILENCE_SECONDS for one in mine):
        raise PartFailed(f"no worker of {socket.gethostname()} serves a lane now")
