"""`redraft report`: one page of HTML about a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workers.cli import output
from workers.cli.jobs import JobArgument

app = typer.Typer()


@app.command()
def report(
    job: JobArgument,
    target: Annotated[
        str | None, typer.Option("-o", metavar="FILE", help="Default: job-N.html in this folder; - is stdout.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Write one page of HTML about a job, with its plots, verdicts and answer. It needs no other file and no network.

    The page shows the held-out checks' feedback too: it is for the job's owner.
    """
    from tasks.errors import InvalidInput
    from tasks.store.queries import job_history, job_summary
    from workers.cli.database import open_database
    from workers.cli.page import page

    with open_database() as database:
        made = page(job_summary(database, job), job_history(database, job))
    if target == "-":
        print(made, end="")
        return
    path = Path(target or f"job-{job}.html")
    try:
        path.write_text(made, encoding="utf-8")
    except OSError as error:
        raise InvalidInput("-o", str(path), f"it cannot be written: {error.strerror}") from None
    if as_json:
        output.emit({"job": job, "file": str(path)})
    else:
        print(path)
