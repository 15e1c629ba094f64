"""The jobs that `cancel`, `pause` and `resume` are about: those whose numbers are given, or those with a tag, said
before anything is done."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workers.cli import completion, output
from workers.cli.jobs import LARGEST

if TYPE_CHECKING:
    from tasks.client import Client
    from tasks.store.summaries import JobSummary

Jobs = Annotated[
    list[int],
    typer.Argument(metavar="[JOB...]", min=1, max=LARGEST, help="The jobs' numbers.", autocompletion=completion.jobs),
]
Tags = Annotated[
    list[str],
    typer.Option(
        "--tag",
        metavar="T",
        help="All jobs with this tag, as `redraft ls --tag T` lists them; several times: with all of these tags.",
        autocompletion=completion.tags,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say which jobs it would be, and change nothing.")]
Verb = Literal["cancel", "pause", "resume"]
_STATE = {"cancel": "is unfinished", "pause": "waits or runs", "resume": "is paused"}
# How many jobs are named one by one.
NAMED = 20


def tagged(client: Client, tags: Sequence[str], verb: Verb) -> list[JobSummary]:
    """The jobs with every one of `tags` of which anything would change, the oldest first. Raises `InvalidInput` where
    no job at all has the tags: a misspelt one is no success."""
    found = client.list(tags=tags, oldest_first=True)
    if not found:
        from tasks.errors import InvalidInput

        raise InvalidInput("--tag", " and ".join(tags), "a tag of one of your jobs, or several that one of them has")
    return [job for job in found if _concerns(verb, job)]


def _concerns(verb: Verb, job: JobSummary) -> bool:
    match verb:
        case "cancel":
            return not job.state.final
        case "pause":
            return job.state in ("queued", "running") and not job.pause_requested
        case "resume":
            return job.state == "paused" or job.pause_requested


def require_one(jobs: Sequence[int], tags: Sequence[str], *, dry_run: bool) -> None:
    """Raises `InvalidInput` unless either numbers or tags are given."""
    from tasks.errors import InvalidInput

    if bool(jobs) == bool(tags):
        given = f"{', '.join(map(str, jobs))} --tag {' '.join(tags)}" if jobs else ""
        raise InvalidInput("JOB", given, "the numbers of jobs, or --tag T for all jobs with a tag")
    if dry_run and jobs:
        raise InvalidInput("--dry-run", ", ".join(map(str, jobs)), "given with --tag; `redraft show` shows one job")


def said(verb: str, jobs: Sequence[JobSummary], tags: Sequence[str]) -> str:
    """How many jobs and which, in a line: `cancel 3 jobs with tag nightly (1 running, 2 queued): 4, 7, 8`."""
    if not jobs:
        return f"nothing to {verb}: no job with tag {' and '.join(tags)} {_STATE[verb]}"
    states = ", ".join(f"{number} {state}" for state, number in Counter(job.state for job in jobs).items())
    owners = dict.fromkeys(job.owner for job in jobs)
    whose = f" of {len(owners)} owners, {', '.join(owners)}," if len(owners) > 1 else ""
    named = ", ".join(str(job.job) for job in jobs[:NAMED])
    more = f" and {len(jobs) - NAMED} more" if len(jobs) > NAMED else ""
    noun = "job" if len(jobs) == 1 else "jobs"
    return f"{verb} {len(jobs)} {noun}{whose} with tag {' and '.join(tags)} ({states}): {named}{more}"


def show(verb: str, jobs: Sequence[JobSummary], tags: Sequence[str], *, as_json: bool) -> None:
    """A dry run: each job that it would be, and the line that sums them up."""
    if as_json:
        for job in jobs:
            output.emit_line({"job": job.job, "state": str(job.state), "title": job.title, "owner": job.owner})
    else:
        rows = [(str(job.job), str(job.state), str(job.iterations), job.title) for job in jobs]
        output.table(("job", "state", "iter", "title"), rows, right=("job", "iter"))
    output.note(f"would {said(verb, jobs, tags)}; nothing is changed" if jobs else said(verb, jobs, tags))


def confirm(verb: Verb, jobs: Sequence[JobSummary], tags: Sequence[str]) -> None:
    """Asks whether to go on. Raises `Abort` where the answer is no, `InvalidInput` where nobody can be asked."""
    question = said(verb, jobs, tags)
    if not sys.stdin.isatty():
        from tasks.errors import InvalidInput

        asked = f"nobody can be asked whether to {question}; --yes does it, --dry-run lists them"
        raise InvalidInput("--tag", " and ".join(tags), asked)
    typer.confirm(f"{question}?", abort=True, err=True)
