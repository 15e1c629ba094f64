"""`redraft submit`: files and flags → stored jobs, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from workers.cli import output
from workers.cli import submitoptions as options

if TYPE_CHECKING:
    from tasks.jobflags import Flags
    from tasks.store.summaries import Submitted
    from tasks.store.workerrows import WorkerRow
    from tasks.submit import Submission

app = typer.Typer()


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
    dry_run: options.DryRun = False,
    wait: options.Wait = False,
    timeout: options.Timeout = None,
    as_json: output.Json = False,
) -> None:
    """Submit problems: Markdown with front matter, JSON lines, or standard input.

    A flag with one value overrides the job file; --check, --hidden-check and --tag add to it. All jobs are checked
    before any is stored: one bad job stores none, and each thing that is not allowed gets a line. Prints each job's
    number; --json: one object per line.
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
    )
    if dry_run:
        _dry_run(files, flags, pool_budget, as_json=as_json)
        return
    numbers = _submit(files, flags, pool_budget, quiet=as_json and wait, as_json=as_json)
    if wait:
        from workers.cli.watch import wait_for

        raise typer.Exit(wait_for(numbers, timeout, as_json=as_json))


def _submit(files: Sequence[str], flags: Flags, pool_budget: Sequence[str], *, quiet: bool, as_json: bool) -> list[int]:
    """Stores the jobs and says what must be known of them; their numbers, printed unless `quiet`."""
    from workers.cli.submitnotes import notes

    submission, jobs, workers = _store(files, flags, pool_budget)
    for line in notes(submission, jobs, workers):
        output.note(line)
    if not quiet:
        _print_numbers(submission, jobs, as_json=as_json)
    return [job.job for job in jobs]


def _store(
    files: Sequence[str], flags: Flags, pool_budget: Sequence[str]
) -> tuple[Submission, tuple[Submitted, ...], tuple[WorkerRow, ...]]:
    """Parses, checks and stores the jobs behind progress bars; gives them with the workers that there are."""
    from tasks import submit as steps
    from tasks.installed import installed_rules
    from tasks.jobfields import read_batch_budget
    from tasks.settings import load_settings
    from workers.cli.client import connect
    from workers.cli.progress import Bars
    from workers.engine.counting import EngineCount

    settings, pool = load_settings(), read_batch_budget(pool_budget)
    rules = installed_rules(settings, dry_runs=True)
    with Bars(sys.stderr) as bars:
        submission = steps.read_jobs(files, flags, rules, sys.stdin.buffer.read, bars.update)
        with connect() as client:
            jobs = client.submit(submission, progress=bars.update, count=EngineCount(settings), pool=pool)
            return submission, jobs, client.workers()


def _dry_run(files: Sequence[str], flags: Flags, pool_budget: Sequence[str], *, as_json: bool) -> None:
    from tasks import submit as steps
    from tasks.installed import installed_rules
    from tasks.jobfields import read_batch_budget
    from tasks.settings import load_settings
    from workers.cli import dryrun
    from workers.cli.client import connect
    from workers.cli.progress import Bars

    pool, rules = read_batch_budget(pool_budget), installed_rules(load_settings(), dry_runs=True)
    with Bars(sys.stderr) as bars:
        submission = steps.read_jobs(files, flags, rules, sys.stdin.buffer.read, bars.update)
    with connect() as client:
        egress = client.egress_of(submission)
    for line in submission.notes:
        output.note(line)
    dryrun.show(submission, egress, pool, as_json=as_json)


def _print_numbers(submission: Submission, jobs: Sequence[Submitted], *, as_json: bool) -> None:
    for job, spec in zip(jobs, submission.specs, strict=True):
        if as_json:
            output.emit_line({"job": job.job, "new": job.new, "title": spec.title, "batch": job.batch})
        else:
            print(job.job)
    sys.stdout.flush()
