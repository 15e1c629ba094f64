"""`redraft report`: one HTML page about a job, or a folder of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import completion, output
from workers.cli.jobs import LARGEST

if TYPE_CHECKING:
    from tasks.client import Client
    from workers.cli.page import Story

app = typer.Typer()


@app.command()
def report(
    job: Annotated[
        int | None,
        typer.Argument(metavar="[JOB]", min=1, max=LARGEST, help="The job's number.", autocompletion=completion.jobs),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="A folder with a page for each job and one over all.")] = False,
    tag: Annotated[
        list[str],
        typer.Option("--tag", metavar="T", help="With --all: only jobs with this tag.", autocompletion=completion.tags),
    ] = [],  # noqa: B006  (typer reads it and hands out a new list)
    owner: Annotated[str | None, typer.Option(metavar="O", help="With --all: only jobs of this owner.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "-o",
            metavar="FILE|FOLDER",
            help="Default: job-N.html in the current folder, - is stdout; with --all the folder report.",
        ),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Write a self-contained HTML page about a job: its problem and answer, plots, verdicts, judges' words, events.

    With --all a folder of such pages and index.html, with totals, the rate of solved problems and a table of all jobs.
    The pages include the feedback of held-out checks: they are meant for the jobs' owner.
    """
    from tasks.errors import InvalidInput
    from workers.cli.client import connect

    if every == (job is not None):
        raise InvalidInput("JOB", "" if job is None else job, "the number of a job, or --all")
    if not every and (tag or owner is not None):
        raise InvalidInput("--tag" if tag else "--owner", ", ".join(tag) or owner, "given with --all")
    if every and target == "-":
        raise InvalidInput("-o", target, "a folder: --all writes many files")
    with connect() as client:
        if job is None:
            _write_all(client, Path(target or "report"), tag, owner, as_json=as_json)
            return
        html = _html(client, job)
    if target == "-":
        print(html, end="")
        return
    path = Path(target or f"job-{job}.html")
    _write(path, html)
    if as_json:
        output.emit({"job": job, "file": str(path)})
    else:
        print(path)


def _write_all(client: Client, folder: Path, tags: Sequence[str], owner: str | None, *, as_json: bool) -> None:
    """The page of each job, then the one over all, which links to them."""
    from datetime import UTC, datetime

    from tasks.errors import InvalidInput
    from workers.cli.groups import compared
    from workers.cli.page_all import file_name, page_all
    from workers.cli.progress import Bars

    jobs = client.list(tags=tags, owner=owner)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput("-o", str(folder), f"a folder: {error.strerror}") from None
    with Bars(sys.stderr) as bars:
        for done, job in enumerate(jobs, start=1):
            _write(folder / file_name(job.job), _html(client, job.job))
            bars.update("reported", done, len(jobs))
    [all_jobs] = compared({"all": jobs}, client.problem_digests(jobs))
    now = jobs[0].now if jobs else datetime.now(UTC)
    _write(folder / "index.html", page_all(jobs, all_jobs.rate, now))
    if as_json:
        output.emit({"jobs": len(jobs), "file": str(folder / "index.html")})
    else:
        print(folder / "index.html")


def _html(client: Client, job: int) -> str:
    """The page of one job."""
    from tasks.settings import load_settings
    from workers.cli import judgement
    from workers.cli.cloud_only import cloud_only, words
    from workers.cli.page import page

    settings = load_settings()
    summary, rounds, helped_by = client.summary(job), client.history(job), client.egress(job)
    hints, told = client.hints(job), story(client, job)
    estimate = words(settings, cloud_only(settings, rounds)) if rounds else ""
    return page(summary, rounds, judgement.line(summary), helped_by, estimate, hints, told)


def _write(path: Path, html: str) -> None:
    from tasks.errors import InvalidInput

    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise InvalidInput("-o", str(path), f"it cannot be written: {error.strerror}") from None


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
