"""`redraft submit`: files and flags → stored jobs, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from workers.cli import output
from workers.cli import submitoptions as options

if TYPE_CHECKING:
    from tasks.jobflags import Flags
    from tasks.store.summaries import Submitted
    from tasks.store.workerrows import WorkerRow
    from tasks.submit import Rules, Submission
    from tasks.sweeps import Sweep
    from workers.cli.progress import Bars

app = typer.Typer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was typed: `axes` are the texts of --sweep."""

    files: Sequence[str]
    flags: Flags
    axes: Sequence[str]
    seeds: int | None
    pool_budget: Sequence[str]


@app.command()
def submit(
    files: options.Files,
    check: options.Check = [],  # noqa: B006  (typer reads it and hands out a new list)
    hidden_check: options.HiddenCheck = [],  # noqa: B006
    budget: options.Budget = [],  # noqa: B006
    pool_budget: options.PoolBudget = [],  # noqa: B006
    strategy: options.Strategy = None,
    lane: options.Lane = None,
    egress: options.Egress = None,
    priority: options.Priority = None,
    tag: options.Tag = [],  # noqa: B006
    model: options.Model = None,
    title: options.Title = None,
    seed: options.Seed = None,
    key: options.Key = None,
    no_memory: options.NoMemory = False,
    cut: options.Cut = False,
    ask: options.Ask = False,
    ask_timeout: options.AskTimeout = None,
    temperature: options.Temperature = None,
    start: options.Start = None,
    sweep: options.Sweep = [],  # noqa: B006
    seeds: options.Seeds = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = False,
    timeout: options.Timeout = None,
    as_json: output.Json = False,
) -> None:
    """Submit problems: Markdown with front matter, JSON lines, or standard input.

    A flag with one value overrides the job file; --check, --hidden-check and --tag add to it. All jobs are checked
    before any is stored: one bad job stores none, and each thing that is not allowed gets a line. Prints each job's
    number; --json: one object per line.

    With --sweep or --seeds all jobs have the tag sweep:NAME, and those at one point a tag such as NAME/ladder/0.6:
    `redraft compare --sweep NAME` compares the points.
    """
    flags = options.read_flags(
        check,
        hidden_check,
        budget,
        title=title,
        strategy=strategy,
        lane=lane,
        egress=egress,
        priority=priority,
        tags=tuple(tag),
        seed=seed,
        key=key,
        memory=False if no_memory else None,
        cut=cut or None,
        ask=ask or None,
        ask_hours=ask_timeout,
        model=model,
        temperature=temperature,
        start=start,
    )
    given = Given(files=files, flags=flags, axes=sweep, seeds=seeds, pool_budget=pool_budget)
    if dry_run:
        _dry_run(given, as_json=as_json)
        return
    numbers = _submit(given, quiet=as_json and wait, as_json=as_json)
    if wait:
        from workers.cli.watch import wait_for

        raise typer.Exit(wait_for(numbers, timeout, as_json=as_json))


def _submit(given: Given, *, quiet: bool, as_json: bool) -> list[int]:
    """Stores the jobs and says what must be known of them; their numbers, printed unless `quiet`."""
    from workers.cli.submitnotes import notes

    submission, jobs, workers = _store(given)
    for line in notes(submission, jobs, workers):
        output.note(line)
    if not quiet:
        _print_numbers(submission, jobs, as_json=as_json)
    return [job.job for job in jobs]


def _store(given: Given) -> tuple[Submission, tuple[Submitted, ...], tuple[WorkerRow, ...]]:
    """Parses, checks and stores the jobs behind progress bars; gives them with the workers that there are."""
    from tasks.installed import installed_rules
    from tasks.jobfields import read_batch_budget
    from tasks.settings import load_settings
    from workers.cli import dryrun
    from workers.cli.client import connect
    from workers.cli.progress import Bars
    from workers.engine.counting import EngineCount

    settings, pool = load_settings(), read_batch_budget(given.pool_budget)
    rules = installed_rules(settings, dry_runs=True)
    with Bars(sys.stderr) as bars:
        submission, sweep = _read(given, rules, bars)
        with connect() as client:
            jobs = client.submit(submission, progress=bars.update, count=EngineCount(settings), pool=pool)
            if sweep is not None:
                output.note(dryrun.sweep_line(sweep, len(jobs)))
            return submission, jobs, client.workers()


def _read(given: Given, rules: Rules, bars: Bars) -> tuple[Submission, Sweep | None]:
    """The jobs of the files, each at each point of a sweep where there is one. Raises `InvalidInput`."""
    from tasks import submit as steps
    from tasks import sweeps
    from tasks.faults import Faults

    faults = Faults()
    raw = steps.parse(given.files, given.flags, sys.stdin.buffer.read, faults)
    sweep = sweeps.read_sweep(given.axes, given.seeds, raw)
    return steps.check(raw if sweep is None else sweeps.expand(raw, sweep), rules, bars.update, faults), sweep


def _dry_run(given: Given, *, as_json: bool) -> None:
    from tasks.installed import installed_rules
    from tasks.jobfields import read_batch_budget
    from tasks.settings import load_settings
    from workers.cli import dryrun
    from workers.cli.client import connect
    from workers.cli.progress import Bars

    pool, rules = read_batch_budget(given.pool_budget), installed_rules(load_settings(), dry_runs=True)
    with Bars(sys.stderr) as bars:
        submission, sweep = _read(given, rules, bars)
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
