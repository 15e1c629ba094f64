"""`redraft compare`: jobs side by side, or groups of jobs with their rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import chosen, completion, output

if TYPE_CHECKING:
    from tasks.client import Client
    from tasks.store.summaries import JobSummary
    from workers.bench.statistics import Estimate
    from workers.cli.groups import Group

app = typer.Typer()


@app.command()
def compare(
    jobs: chosen.Jobs = [],  # noqa: B006  (typer reads it and hands out a new list)
    tag: Annotated[
        list[str],
        typer.Option(
            "--tag",
            metavar="T[,U]",
            help="One group: all jobs with this tag, or with all of these tags. Several times: several groups.",
            autocompletion=completion.tags,
        ),
    ] = [],  # noqa: B006
    sweep: Annotated[
        str | None, typer.Option(metavar="NAME", help="The points of a sweep of `redraft submit --sweep`.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Compare jobs one by one, or groups of jobs: how many were solved, and what they used.

    Of groups it shows the rate of solved problems with its 95 % interval, and the difference to the first group, over
    the same problems where they stand on both sides. A problem counts once, however many jobs try it. Jobs that have
    not ended, and cancelled ones, are left out of rates and means, and counted.
    """
    from tasks.errors import InvalidInput
    from workers.cli.client import connect

    if (bool(jobs) + bool(tag) + (sweep is not None)) != 1:
        raise InvalidInput("JOB", "", "either numbers of jobs, or --tag for each group, or --sweep NAME")
    with connect() as client:
        if jobs:
            _show_jobs([client.summary(job) for job in dict.fromkeys(jobs)], as_json=as_json)
            return
        groups = _tagged(client, tag) if sweep is None else _sweep(client, sweep)
        digests = client.problem_digests([job for group in groups.values() for job in group])
    _show_groups(groups, digests, as_json=as_json)


def _tagged(client: Client, tags: Sequence[str]) -> Mapping[str, Sequence[JobSummary]]:
    """The jobs of each group. Raises `InvalidInput` for one without a job."""
    from tasks.errors import InvalidInput

    groups = {text: client.list(tags=text.split(","), oldest_first=True) for text in tags}
    for text, found in groups.items():
        if not found:
            raise InvalidInput("--tag", text, "a tag of one of your jobs, or several that one of them has")
    return groups


def _sweep(client: Client, name: str) -> Mapping[str, Sequence[JobSummary]]:
    """The jobs of a sweep by their point, in the order of the points. Raises `InvalidInput`."""
    from tasks.errors import InvalidInput

    found = client.list(tags=[f"sweep:{name}"], oldest_first=True)
    if not found:
        raise InvalidInput("--sweep", name, "the name of a sweep of yours, which its jobs have as the tag sweep:NAME")
    groups: dict[str, list[JobSummary]] = {}
    for job in found:
        point = next((tag.removeprefix(f"{name}/") for tag in job.tags if tag.startswith(f"{name}/")), name)
        groups.setdefault(point, []).append(job)
    return groups


def _show_jobs(jobs: Sequence[JobSummary], *, as_json: bool) -> None:
    from workers.cli.groups import seconds, tokens
    from workers.cli.jobs import without_answer

    if as_json:
        output.emit({"jobs": [{**without_answer(job), "seconds": seconds(job)} for job in jobs]})
        return
    names = ("job", "state", "score", "iter", "tokens", "seconds", "usd", "strategy", "title")
    rows = [
        (
            str(job.job),
            str(job.state),
            output.score_of(job),
            str(job.iterations),
            output.count(tokens(job)),
            f"{seconds(job):.0f}",
            output.usd(job.spend.usd),
            job.strategy,
            job.title,
        )
        for job in jobs
    ]
    output.table(names, rows, right=("job", "score", "iter", "tokens", "seconds", "usd"))


def _show_groups(groups: Mapping[str, Sequence[JobSummary]], digests: Mapping[int, str], *, as_json: bool) -> None:
    from workers.cli.groups import compared

    found = compared(groups, digests)
    if as_json:
        output.emit({"groups": [dataclasses.asdict(group) for group in found]})
        return
    several = any(group.problems > 1 for group in found)
    names = ("group", "solved", "problems", "%", "- first", "tokens", "seconds", "usd")
    shown = [place for place, name in enumerate(names) if several or name != "problems"]
    columns = [names[place] for place in shown]
    rows = [_row(group) for group in found]
    output.table(columns, [[row[place] for place in shown] for row in rows], right=columns[1:])
    for line in _notes(found):
        output.note(line)


def _row(group: Group) -> tuple[str, ...]:
    return (
        group.name,
        f"{group.solved} of {group.ended}",
        str(group.problems),
        _points(group.rate),
        "-" if group.difference is None else _points(group.difference, sign="+"),
        "-" if group.tokens is None else output.count(round(group.tokens)),
        "-" if group.seconds is None else output.count(round(group.seconds)),
        "-" if group.usd is None else output.usd(group.usd),
    )


def _points(estimate: Estimate, sign: str = "") -> str:
    """In per cent, with the interval: whole numbers, for it is wide."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    value, low, high = (f"{100 * share:{sign}.0f}" for share in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def _notes(found: Sequence[Group]) -> list[str]:
    """What a reader of the table must know."""
    notes = ["solved jobs of those that ended; % of the problems, each counted once, with its 95 % interval"]
    open_jobs = sum(group.unfinished for group in found)
    if open_jobs:
        notes.append(f"{open_jobs} jobs have not ended and are left out: the easy ones tend to end first")
    cancelled = sum(group.cancelled for group in found)
    if cancelled:
        notes.append(f"{cancelled} cancelled jobs are left out")
    first = found[0]
    for group in found[1:]:
        if group.difference is not None and group.shared < max(group.problems, first.problems):
            over = f"over the {group.shared} problems of both" if group.shared else "between different problems"
            notes.append(f"{group.name} - {first.name}: {over}")
    if all(group.problems == 1 for group in found):
        notes.append("of one problem alone: the intervals say nothing of others")
    return notes
