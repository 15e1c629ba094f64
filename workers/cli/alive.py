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
    """Exit 0 if a worker on this machine serves all its lanes, or a relay is connected; else exit 1 and say why.

    A worker whose engine does not answer does not serve the engine's lanes.
    """
    from tasks.errors import InvalidInput, PartFailed
    from workers.addresses import worker_database_url
    from workers.cli import waiting
    from workers.cli.client import job_lines

    if part not in ("worker", "relay"):
        raise InvalidInput("PART", part, "one of worker, relay")
    with job_lines(worker_database_url(), name="redraft alive") as lines:
        if part == "relay":
            if not lines.relay_connected():
                raise PartFailed("no relay is connected to Postgres")
            return
        workers = [worker for worker in lines.workers() if worker.host == socket.gethostname()]
    faulty = [worker for worker in workers if worker.engine_fault]
    if any(worker.lanes and worker.live and not worker.engine_fault for worker in workers):
        return
    if faulty:
        raise PartFailed(waiting.engine(min(faulty, key=lambda worker: worker.silent_seconds)))
    raise PartFailed(f"no worker of {socket.gethostname()} serves a lane now")
