"""`redraft pause | resume | retry | fork`: what a person decides about an existing job."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli import completion, output
from workers.cli.jobs import JobArgument, JobsArgument

app = typer.Typer()
# Postgres's integer.
LARGEST_ITERATION = 2**31 - 1
Budget = Annotated[
    list[str],
    typer.Option("--budget", metavar="usd=2,hours=4,iterations=30,tokens=N", help="The new limits, in all."),
]


@app.command()
def pause(jobs: JobsArgument, as_json: output.Json = False) -> None:
    """Pause jobs: a waiting one at once, a running one within seconds. Paused time does not count as hours."""
    from workers.cli.client import connect

    with connect() as client:
        states = {job: client.pause(job) for job in dict.fromkeys(jobs)}
    for job, state in states.items():
        if as_json:
            output.emit_line({"job": job, "state": str(state)})
        elif state == "paused":
            print(f"job {job} is paused")
        elif state.final:
            output.note(f"job {job} had finished before: {state}")
        elif state == "needs_input":
            output.note(f"job {job} rests already: it waits for an answer (`redraft answer {job}`)")
        else:
            print(f"job {job} is {state}; its worker was told to pause it")


@app.command()
def resume(jobs: JobsArgument, as_json: output.Json = False) -> None:
    """Resume paused jobs where they stopped."""
    from workers.cli.client import connect

    with connect() as client:
        states = {job: client.resume(job) for job in dict.fromkeys(jobs)}
    for job, state in states.items():
        if as_json:
            output.emit_line({"job": job, "state": str(state)})
        elif state.final:
            output.note(f"job {job} had finished before: {state}; `redraft retry {job}` lets it go on")
        else:
            print(f"job {job} is {state}")


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
