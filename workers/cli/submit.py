"""`redraft submit`: files and flags → stored jobs, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.types import Egress
from workers.cli import output

if TYPE_CHECKING:
    from tasks.store.summaries import Submitted, WorkerRow
    from tasks.submit import Submission
    from tasks.types import JobSpec

app = typer.Typer()
FILES_NAMED = 8
# How an operator opens the deployment; a key that lies in the environment for other tools opens nothing.
CLOUD_BY = "`redraft up --cloud`, or REDRAFT_EGRESS=full and an OpenAI key"


@app.command()
def submit(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Markdown or .jsonl files, or - for standard input.")
    ],
    check: Annotated[
        list[str],
        typer.Option("--check", metavar="KIND:VALUE", help="Add a check; paths are relative to the job file."),
    ] = [],  # noqa: B006  (typer reads it and hands out a new list)
    hidden_check: Annotated[
        list[str], typer.Option("--hidden-check", metavar="KIND:VALUE", help="Add a check the model never sees.")
    ] = [],  # noqa: B006
    budget: Annotated[
        list[str],
        typer.Option("--budget", metavar="usd=2,hours=4,iterations=30,tokens=N", help="What the job may spend."),
    ] = [],  # noqa: B006
    pool_budget: Annotated[
        list[str],
        typer.Option(
            "--pool-budget",
            metavar="tokens=N,usd=20,hours=8",
            help="Make the jobs one batch: what they may spend together. The likeliest to be solved go on first.",
        ),
    ] = [],  # noqa: B006
    strategy: Annotated[str | None, typer.Option(metavar="NAME", help="correct, ladder, best_of_n or single.")] = None,
    lane: Annotated[str | None, typer.Option(metavar="gpu|fast", help="Which model drafts.")] = None,
    egress: Annotated[str | None, typer.Option(metavar="never|full", help="What may be sent to the cloud.")] = None,
    priority: Annotated[int | None, typer.Option(help="From -100 to 100; higher runs first.")] = None,
    tag: Annotated[list[str], typer.Option("--tag", metavar="T", help="Add a tag.")] = [],  # noqa: B006
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model that must work on it; the job waits for a worker.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Default: the first heading, or the first line.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of all sampling.")] = None,
    key: Annotated[str | None, typer.Option(metavar="K", help="Submit once: a known key returns its job.")] = None,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Use no lessons of earlier jobs, and leave none.")
    ] = False,
    cut: Annotated[
        bool, typer.Option("--cut", help="Show the model a part of a problem that is longer than its context.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the jobs are finished; exit as `wait` does.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="With --wait: wait at most this many seconds.")] = None,
    as_json: output.Json = False,
) -> None:
    """Submit problems: Markdown with front matter, JSON lines, or standard input.

    A flag with one value overrides the job file; --check, --hidden-check and --tag add to it. All jobs are checked
    before any is stored: one bad job stores none. Prints each job's number; --json: one object per line.
    """
    from tasks import submit as steps
    from tasks.installed import installed_rules
    from tasks.jobfields import read_batch_budget
    from tasks.jobflags import Flags, parse_budget_flag, parse_check_flag
    from tasks.settings import load_settings
    from workers.cli.client import connect
    from workers.cli.progress import Bars

    visible = [parse_check_flag(text, held_out=False, flag="--check") for text in check]
    hidden = [parse_check_flag(text, held_out=True, flag="--hidden-check") for text in hidden_check]
    flags = Flags(
        title=title,
        checks=(*visible, *hidden),
        budget=parse_budget_flag(budget),
        strategy=strategy,
        lane=lane,
        egress=egress,
        priority=priority,
        tags=tuple(tag),
        seed=seed,
        key=key,
        memory=False if no_memory else None,
        cut=True if cut else None,
        model=model,
    )
    pool = read_batch_budget(pool_budget)
    rules = installed_rules(load_settings(), dry_runs=True)
    with Bars(sys.stderr) as bars:
        submission = steps.check(steps.parse(files, flags, sys.stdin.buffer.read), rules, bars.update)
        with connect() as client:
            jobs = client.submit(submission, progress=bars.update, pool=pool)
            workers = client.workers()
    _note(submission, jobs, workers)
    if not (as_json and wait):
        _print_numbers(submission, jobs, as_json=as_json)
    if wait:
        from workers.cli.watch import wait_for

        raise typer.Exit(wait_for([job.job for job in jobs], timeout, as_json=as_json))


def _note(submission: Submission, jobs: Sequence[Submitted], workers: Sequence[WorkerRow]) -> None:
    """What the person who submits must know, line by line on stderr."""
    for line in (*submission.notes, *_files(submission.specs)):
        output.note(line)
    for job in jobs:
        if job.note:
            output.note(f"job {job.job}: {job.note}")
    for line in _models(submission.specs, workers):
        output.note(line)
    for line in _batch(jobs):
        output.note(line)
    output.note(_cloud(submission.specs, [job.egress for job in jobs], workers))
    known = sum(1 for job in jobs if not job.new)
    if known:
        output.note(f"{known} of {len(jobs)} keys had been used before: the same jobs are given back")


def _print_numbers(submission: Submission, jobs: Sequence[Submitted], *, as_json: bool) -> None:
    for job, spec in zip(jobs, submission.specs, strict=True):
        if as_json:
            output.emit_line({"job": job.job, "new": job.new, "title": spec.title, "batch": job.batch})
        else:
            print(job.job)
    sys.stdout.flush()


def _files(specs: Sequence[JobSpec]) -> Iterator[str]:
    """Which files go along with the jobs: one that a link or a test takes along is never silent."""
    attached = dict.fromkeys(attachment.name for spec in specs for attachment in spec.attachments)
    checks = (check for spec in specs for check in spec.checks if isinstance(check.value, str))
    needed = dict.fromkeys(name for check in checks for name in check.files if name != check.value)
    for title, names in (("attached", list(attached)), ("with the checks", list(needed))):
        if names:
            more = f" and {len(names) - FILES_NAMED} more" if len(names) > FILES_NAMED else ""
            yield f"{title}: {', '.join(names[:FILES_NAMED])}{more}"


def _models(specs: Sequence[JobSpec], workers: Sequence[WorkerRow]) -> Iterator[str]:
    """One line for each model that jobs name and nobody serves now."""
    live = [worker for worker in workers if worker.live and not {"gpu", "fast"}.isdisjoint(worker.lanes)]
    served = ", ".join(sorted({worker.model for worker in live if worker.model})) or "no model"
    known = {name for worker in live for name in worker.models}
    for name in dict.fromkeys(spec.model for spec in specs if spec.model):
        if name not in known:
            yield f"no worker serves model {name} now (served: {served}): the job waits for one that does"


def _batch(jobs: Sequence[Submitted]) -> Iterator[str]:
    """One line for the batch that this submission made, if it made one."""
    new = [job for job in jobs if job.new and job.batch is not None]
    if new:
        yield f"batch {new[0].batch}: {len(new)} jobs share one budget; `redraft ls --batch {new[0].batch}` lists them"


def _cloud(specs: Sequence[JobSpec], stored: Sequence[Egress], workers: Sequence[WorkerRow]) -> str:
    """One line: whether these jobs may ask the cloud, and why."""
    free = stored.count(Egress.FULL)
    if not free and all(spec.egress not in (None, Egress.FULL) for spec in specs):
        named = ", ".join(sorted({str(spec.egress) for spec in specs}))
        return f"escalation is off for these jobs (egress: {named}): every word stays at home"
    if not free:
        return f"escalation is off, for no cloud is configured ({CLOUD_BY}): every word stays at home"
    live = [worker for worker in workers if worker.live]
    kept = f", {len(specs) - free} of {len(specs)} stay at home" if free < len(specs) else ""
    if any("cloud" in worker.lanes for worker in live):
        return f"escalation is on, for a worker serves the cloud; `--egress never` keeps a job at home{kept}"
    return f"escalation is on, for REDRAFT_EGRESS says so, as soon as a worker serves lane cloud{kept}"
