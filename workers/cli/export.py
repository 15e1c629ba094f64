"""`redraft export`: a job's state, its iterations, or a table of jobs, for other programs."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tasks.printable import printable
from workers.cli import history, jobs, output

if TYPE_CHECKING:
    from tasks.client import Client
    from tasks.store.summaries import JobSummary

app = typer.Typer()
FORMATS = ("state", "jsonl", "csv", "parquet")
# For a job that has drafted nothing yet: only its worker will know how many slots it has.
UNKNOWN_WIDTH = 2

SomeJob = Annotated[int | None, typer.Argument(metavar="JOB|--all", min=1, max=jobs.LARGEST, help="The job's number.")]


@app.command()
def export(
    job: SomeJob = None,
    every: Annotated[bool, typer.Option("--all", help="Export all your jobs.")] = False,
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="What to write.")] = "state",
    target: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Default: stdout.")] = None,
    as_json: output.Json = False,
) -> None:
    """Export jobs for other programs.

    state: the JSON that the job's next iteration would be built from; with --all, one document per line.
    jsonl: one object per iteration. csv: one row per job (--json: one object). parquet: one row per iteration.
    """
    from tasks.errors import InvalidInput
    from workers.cli.client import connect

    if form not in FORMATS:
        raise InvalidInput("--format", form, f"one of {', '.join(FORMATS)}")
    if (job is None) is not every:
        raise InvalidInput("JOB", job, "a job's number, or --all for every job")
    if form == "parquet" and target is None:
        raise InvalidInput("-o", "", "parquet is binary: name a file")
    with connect() as client:
        summaries = [client.summary(job)] if job is not None else client.list(oldest_first=True)
        if form == "parquet" and target is not None:
            _write_parquet(target, _iterations(client, summaries))
            return
        with written_to(target):
            match form:
                case "state":
                    for summary in summaries:
                        output.emit(_state(client, summary.job), indent=None if every else 2)
                case "jsonl":
                    for row in _iterations(client, summaries):
                        output.emit_line(row)
                case _:
                    _write_jobs(summaries, as_json=as_json)


@contextlib.contextmanager
def written_to(target: Path | None) -> Iterator[None]:
    """What is printed inside goes to that file, where one is named. Raises `InvalidInput`."""
    from tasks.errors import InvalidInput

    if target is None:
        yield
        return
    try:
        with target.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            yield
    except OSError as error:
        raise InvalidInput("-o", str(target), f"it cannot be written: {error.strerror}") from None


def _state(client: Client, number: int) -> dict[str, Any]:
    from tasks.errors import InvalidInput
    from tasks.policy import LoopRules, decider, limits_of, width_of
    from tasks.settings import load_settings
    from tasks.state import state_document
    from workers.strategies import load_strategies

    settings, job, known = load_settings(), client.load(number), load_strategies().working
    if job.spec.strategy not in known:
        raise InvalidInput("strategy", job.spec.strategy, f"it is not installed here; known are {', '.join(known)}")
    rules = LoopRules(
        width=width_of(job, settings.width or UNKNOWN_WIDTH),
        escalate_after=settings.escalate_after,
        move_up_after=settings.move_up_after,
        help=settings.help_rules,
    )
    return state_document(job, limits_of(job, rules), decider(known[job.spec.strategy], job))


def _iterations(client: Client, summaries: Sequence[JobSummary]) -> Iterator[dict[str, Any]]:
    for summary in summaries:
        for row in client.history(summary.job):
            yield {"job": summary.job, **history.document(row)}


def _write_jobs(summaries: Sequence[JobSummary], *, as_json: bool) -> None:
    rows = [_flat(jobs.without_answer(summary)) for summary in summaries]
    if as_json:
        for row in rows:
            output.emit_line(row)
    elif rows:
        writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and sys.stdout.isatty() else value


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    """One level: spend and budget as columns of their own, tags in one."""
    row: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            row.update({f"{name}_{part}": amount for part, amount in value.items()})
        else:
            row[name] = " ".join(value) if isinstance(value, tuple) else value
    return row


def _write_parquet(target: Path, rows: Iterator[dict[str, Any]]) -> None:
    from tasks.errors import InvalidInput
    from workers.cli import parquet

    try:
        with target.open("wb") as file:
            parquet.write(file, rows)
    except OSError as error:
        raise InvalidInput("-o", str(target), f"it cannot be written: {error.strerror or error}") from None
