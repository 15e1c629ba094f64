"""`redraft cancel | pause | resume | retry | fork`: what a person decides about existing jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import chosen, completion, output
from workers.cli.jobs import JobArgument

if TYPE_CHECKING:
    from tasks.kinds import JobState

app = typer.Typer()
# Postgres's integer.
LARGEST_ITERATION = 2**31 - 1
Budget = Annotated[
    list[str],
    typer.Option("--budget", metavar="usd=2,hours=4,iterations=30,tokens=N", help="The new limits, in all."),
]


@app.command()
def cancel(
    jobs: chosen.Jobs = [],  # noqa: B006  (typer reads it and hands out a new list)
    tag: chosen.Tags = [],  # noqa: B006
    dry_run: chosen.DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --tag: do not ask for confirmation.")] = False,
    as_json: output.Json = False,
) -> None:
    """Cancel jobs: a waiting job ends at once, a running one within seconds. The best answer stays readable.

    With --tag all unfinished jobs with the tag: it says how many and which, and asks first.
    """

    def tell(job: int, state: JobState) -> None:
        if state == "cancelled":
            print(f"job {job} is cancelled")
        elif state.final:
            output.note(f"job {job} had finished before: {state}")
        else:
            print(f"job {job} is {state}; its worker was told to stop")

    _decide("cancel", jobs, tag, tell, ask=not yes, dry_run=dry_run, as_json=as_json)


@app.command()
def pause(
    jobs: chosen.Jobs = [],  # noqa: B006
    tag: chosen.Tags = [],  # noqa: B006
    dry_run: chosen.DryRun = False,
    as_json: output.Json = False,
) -> None:
    """Pause jobs: a waiting one at once, a running one within seconds. Paused time does not count as hours."""

    def tell(job: int, state: JobState) -> None:
        if state == "paused":
            print(f"job {job} is paused")
        elif state.final:
            output.note(f"job {job} had finished before: {state}")
        elif state == "needs_input":
            output.note(f"job {job} rests already: it waits for an answer (`redraft answer {job}`)")
        else:
            print(f"job {job} is {state}; its worker was told to pause it")

    _decide("pause", jobs, tag, tell, dry_run=dry_run, as_json=as_json)


@app.command()
def resume(
    jobs: chosen.Jobs = [],  # noqa: B006
    tag: chosen.Tags = [],  # noqa: B006
    dry_run: chosen.DryRun = False,
    as_json: output.Json = False,
) -> None:
    """Resume paused jobs where they stopped."""

    def tell(job: int, state: JobState) -> None:
        if state.final:
            output.note(f"job {job} had finished before: {state}; `redraft retry {job}` lets it go on")
        else:
            print(f"job {job} is {state}")

    _decide("resume", jobs, tag, tell, dry_run=dry_run, as_json=as_json)


def _decide(
    verb: chosen.Verb,
    numbers: list[int],
    tags: list[str],
    tell: Callable[[int, JobState], None],
    *,
    ask: bool = False,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Does to each chosen job what was decided, and tells each as soon as it is done."""
    from workers.cli.client import connect

    chosen.require_one(numbers, tags, dry_run=dry_run)
    with connect() as client:
        if tags:
            jobs = chosen.tagged(client, tags, verb)
            if dry_run:
                chosen.show(verb, jobs, tags, as_json=as_json)
                return
            if ask and jobs:
                chosen.confirm(verb, jobs, tags)
            else:
                output.note(chosen.said(verb, jobs, tags))
            numbers = [job.job for job in jobs]
        decide = {"cancel": client.cancel, "pause": client.pause, "resume": client.resume}[verb]
        for job in dict.fromkeys(numbers):
            state = decide(job)
            if as_json:
                output.emit_line({"job": job, "state": str(state)})
            else:
                tell(job, state)


@app.command()
def retry(
    job: JobArgument,
    budget: Budget = [],  # noqa: B006  (typer reads it and hands out a new list)
    as_json: output.Json = False,
) -> None:
    """Continue a job that finished without an accepted answer; --budget raises its limits.

    The job keeps its history and what it has spent. The time since it finished does not count as hours.
    """
    from tasks.jobfields import read_changes
    from workers.cli.client import connect

    changes = read_changes(budget)
    with connect() as client:
        state = client.retry(job, changes)
    if as_json:
        output.emit({"job": job, "state": str(state)})
    else:
        print(f"job {job} is {state}")


@app.command()
def fork(
    job: JobArgument,
    upto: Annotated[
        int, typer.Option("--from", metavar="N", min=1, max=LARGEST_ITERATION, help="Keep iterations 1 to N.")
    ],
    budget: Budget = [],  # noqa: B006
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Use this instead of the job's strategy.", autocompletion=completion.strategies
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of all sampling. Default: a new one.")] = None,
    as_json: output.Json = False,
) -> None:
    """Start a new job from iterations 1 to N of another job. Prints the new job's number.

    The new job has spent no tokens and no dollars, but the copied iterations count towards its budget of iterations.
    """
    from tasks.jobfields import read_changes
    from workers.cli.client import connect
    from workers.strategies import load_strategies

    known = sorted(load_strategies().working) if strategy is not None else ()
    changes = read_changes(budget, strategy=strategy, seed=seed, strategies=known)
    with connect() as client:
        new = client.fork(job, upto, changes)
    if as_json:
        output.emit({"job": new, "forked_from": job, "forked_iteration": upto})
    else:
        print(new)
