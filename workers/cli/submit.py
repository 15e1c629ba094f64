"""`redraft submit`: files and flags → stored jobs, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import completion, output

if TYPE_CHECKING:
    from tasks.jobfile import RawJob
    from tasks.jobflags import Flags
    from tasks.store.summaries import Submitted
    from tasks.store.workerrows import WorkerRow
    from tasks.submit import Submission
    from tasks.sweeps import Sweep

app = typer.Typer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What --sweep and --seeds said."""

    texts: Sequence[str]
    seeds: int | None


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
        typer.Option("--budget", metavar="usd=2,hours=4,iterations=30,tokens=N,…", help="What the job may spend."),
    ] = [],  # noqa: B006
    pool_budget: Annotated[
        list[str],
        typer.Option(
            "--pool-budget",
            metavar="tokens=N,usd=20,hours=8",
            help="Make the jobs one batch: what they may spend together. The likeliest to be solved go on first.",
        ),
    ] = [],  # noqa: B006
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="correct, ladder, evolve, climb, aggregate, best_of_n or single.",
            autocompletion=completion.strategies,
        ),
    ] = None,
    lane: Annotated[str | None, typer.Option(metavar="gpu|fast", help="Which model drafts.")] = None,
    egress: Annotated[
        str | None, typer.Option(metavar="never|hint|full", help="What may be sent to the cloud.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="From -100 to 100; higher runs first.")] = None,
    tag: Annotated[
        list[str], typer.Option("--tag", metavar="T", help="Add a tag.", autocompletion=completion.tags)
    ] = [],  # noqa: B006
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
    ask: Annotated[
        bool, typer.Option("--ask", help="Let a job that is stuck ask you a question: `redraft answer`.")
    ] = False,
    ask_timeout: Annotated[
        float | None,
        typer.Option("--ask-timeout", metavar="HOURS", help="With --ask: go on without an answer after these. [24]"),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help="Of its answers, 0 to 2. Default: the model's own.")
    ] = None,
    sweep: Annotated[
        list[str],
        typer.Option(
            "--sweep",
            metavar="FIELD=VALUE,VALUE…",
            help="Submit each job once for each combination of these values of strategy, temperature, model, lane or "
            "memory; one --sweep for each field.",
        ),
    ] = [],  # noqa: B006
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Submit each job N times, with seeds that count up from its own.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the jobs, print the most that they can cost, and store nothing.")
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

    With --sweep or --seeds all jobs have the tag sweep:NAME, and those at one point a tag such as NAME/ladder/0.6:
    `redraft compare --sweep NAME` compares the points.
    """
    from tasks.jobflags import Flags, parse_budget_flag, parse_check_flag
    from workers.cli.submitnotes import notes

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
        ask=True if ask else None,
        ask_hours=ask_timeout,
        model=model,
        temperature=temperature,
    )
    swept = Axes(texts=sweep, seeds=seeds)
    if dry_run:
        _dry_run(files, flags, swept, pool_budget, as_json=as_json)
        return
    submission, jobs, workers = _store(files, flags, swept, pool_budget)
    for line in notes(submission, jobs, workers):
        output.note(line)
    if not (as_json and wait):
        _print_numbers(submission, jobs, as_json=as_json)
    if wait:
        from workers.cli.watch import wait_for

        raise typer.Exit(wait_for([job.job for job in jobs], timeout, as_json=as_json))


def _store(
    files: Sequence[str], flags: Flags, axes: Axes, pool_budget: Sequence[str]
) -> tuple[Submission, tuple[Submitted, ...], tuple[WorkerRow, ...]]:
    """Parses, checks and stores the jobs behind progress bars; gives them with the workers that there are."""
    from tasks import submit as steps
    from tasks.installed import installed_rules
    from tasks.jobfields import read_batch_budget
    from tasks.settings import load_settings
    from workers.cli import dryrun
    from workers.cli.client import connect
    from workers.cli.progress import Bars
    from workers.engine.counting import EngineCount

    settings, pool = load_settings(), read_batch_budget(pool_budget)
    rules = installed_rules(settings, dry_runs=True)
    raw, sweep = _parse(files, flags, axes)
    with Bars(sys.stderr) as bars:
        submission = steps.check(raw, rules, bars.update)
        with connect() as client:
            jobs = client.submit(submission, progress=bars.update, count=EngineCount(settings), pool=pool)
            if sweep is not None:
                output.note(dryrun.sweep_line(sweep, len(jobs)))
            return submission, jobs, client.workers()


def _parse(files: Sequence[str], flags: Flags, axes: Axes) -> tuple[tuple[RawJob, ...], Sweep | None]:
    """The raw jobs of the files, each at each point of a sweep where there is one."""
    from tasks import submit as steps
    from tasks import sweeps

    raw = steps.parse(files, flags, sys.stdin.buffer.read)
    sweep = sweeps.read_sweep(axes.texts, axes.seeds, raw)
    return (raw, None) if sweep is None else (sweeps.expand(raw, sweep), sweep)


def _dry_run(files: Sequence[str], flags: Flags, axes: Axes, pool_budget: Sequence[str], *, as_json: bool) -> None:
    from tasks import submit as steps
    from tasks.installed import installed_rules
    from tasks.jobfields import read_batch_budget
    from tasks.settings import load_settings
    from workers.cli import dryrun
    from workers.cli.client import connect
    from workers.cli.progress import Bars

    pool, rules = read_batch_budget(pool_budget), installed_rules(load_settings(), dry_runs=True)
    raw, sweep = _parse(files, flags, axes)
    with Bars(sys.stderr) as bars:
        submission = steps.check(raw, rules, bars.update)
    with connect() as client:
        egress = client.egress_of(submission)
    for line in submission.notes:
        output.note(line)
    dryrun.show(submission, egress, pool, sweep, as_json=as_json)


def _print_numbers(submission: Submission, jobs: Sequence[Submitted], *, as_json: bool) -> None:
    for job, spec in zip(jobs, submission.specs, strict=True):
        if as_json:
            output.emit_line({"job": job.job, "new": job.new, "title": spec.title, "batch": job.batch})
        else:
            print(job.job)
    sys.stdout.flush()
