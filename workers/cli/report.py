"""`redraft report`: one HTML page about a job."""

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
        str | None, typer.Option("-o", metavar="FILE", help="Default: job-N.html in the current folder; - is stdout.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Write a self-contained HTML page about a job: plots, verdicts and answer.

    The page includes the feedback of held-out checks: it is meant for the job's owner.
    """
    from tasks.errors import InvalidInput
    from tasks.settings import load_settings
    from workers.cli import judgement
    from workers.cli.client import connect
    from workers.cli.cloud_only import cloud_only, words
    from workers.cli.page import page

    settings = load_settings()
    with connect() as client:
        summary, rounds, helped_by = client.summary(job), client.history(job), client.egress(job)
        hints = client.hints(job)
    estimate = words(settings, cloud_only(settings, rounds)) if rounds else ""
    html = page(summary, rounds, judgement.line(summary), helped_by, estimate, hints)
    if target == "-":
        print(html, end="")
        return
    path = Path(target or f"job-{job}.html")
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise InvalidInput("-o", str(path), f"it cannot be written: {error.strerror}") from None
    if as_json:
        output.emit({"job": job, "file": str(path)})
    else:
        print(path)
