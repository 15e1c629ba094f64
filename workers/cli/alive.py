"""`redraft alive`: for the health check of a container. Cheap: one query."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def alive(
    part: Annotated[str, typer.Argument(metavar="worker|relay", help="The process to look for.")] = "worker",
) -> None:
    """Exit 0 if a worker on this machine serves a lane, or a relay is connected; else exit 1 and say why.

    A worker whose engine does not answer serves no lane.
    """
    from tasks.errors import InvalidInput, PartFailed
    from workers.addresses import worker_database_url
    from workers.cli.client import connect

    if part not in ("worker", "relay"):
        raise InvalidInput("PART", part, "one of worker, relay")
    with connect(worker_database_url(), name="redraft alive") as client:
        if part == "relay":
            if not client.relay_connected():
                raise PartFailed("no relay is connected to Postgres")
            return
        workers = [worker for worker in client.workers() if worker.host == socket.gethostname()]
    if not any(worker.lanes and worker.live for worker in workers):
        raise PartFailed(f"no worker of {socket.gethostname()} serves a lane now")
