"""`redraft report`: one HTML page about a job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import output
from workers.cli.jobs import JobArgument

if TYPE_CHECKING:
    from tasks.client import Client
    from workers.cli.page import Story

app = typer.Typer()


@app.command()
def report(
    job: JobArgument,
    target: Annotated[
        str | None, typer.Option("-o", metavar="FILE", help="Default: job-N.html in the current folder; - is stdout.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Write a self-contained HTML page about a job: its problem and answer, plots, verdicts, judges' words, events.

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
        hints, told = client.hints(job), story(client, job)
    estimate = words(settings, cloud_only(settings, rounds)) if rounds else ""
    html = page(summary, rounds, judgement.line(summary), helped_by, estimate, hints, told)
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


def story(client: Client, job: int) -> Story:
    """The problem, the judges' votes, the log of a job, and what worked for it when."""
    from workers.cli import occupancy
    from workers.cli.page import Story

    number = int(job)
    problem = client.sql(f"SELECT problem FROM jobs WHERE id = {number}").rows  # noqa: S608 - a number
    votes = client.sql(
        f"""SELECT iteration, check_name || ', vote ' || vote AS vote, text FROM call_history
            WHERE job = {number} AND operator = 'judge' AND step = 'verdict' ORDER BY call"""  # noqa: S608 - a number
    ).rows
    return Story(
        problem="".join(str(text) for (text,) in problem),
        events=tuple(client.events(job, timeout=0)),
        judges=tuple((int(str(iteration)), str(vote), str(text)) for iteration, vote, text in votes),
        worked=occupancy.occupancy(client.sql(occupancy.query([number])).rows),
    )
