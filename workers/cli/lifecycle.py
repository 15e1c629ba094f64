"""`redraft pause | resume | retry | fork`: what a person decides about a job that is there already."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli import output
from workers.cli.jobs import JobArgument, JobsArgument

app = typer.Typer()
# Postgres's integer.
LARGEST_ITERATION = 2**31 - 1
Budget = Annotated[list[str], typer.Option("--budget", metavar="usd=2,hours=4,iterations=30,tokens=N")]


@app.command()
def pause(jobs: JobsArgument, as_json: output.Json = False) -> None:
    """Pause jobs: a waiting one at once, a running one within seconds. Paused time is not counted as hours."""
    from tasks.store.lifecycle import request_pause
    from workers.cli.database import open_database

    with open_database() as database:
        states = {job: request_pause(database, job) for job in dict.fromkeys(jobs)}
    for job, state in states.items():
        if as_json:
            output.emit_line({"job": job, "state": str(state)})
        elif state == "paused":
            print(f"job {job} is paused")
        elif state.final:
            output.note(f"job {job} had finished before: {state}")
        else:
            print(f"job {job} is {state}; its worker was told to pause it")


@app.command()
def resume(jobs: JobsArgument, as_json: output.Json = False) -> None:
    """Let paused jobs go on from where they stood."""
    from tasks.store.lifecycle import resume
    from workers.cli.database import open_database

    with open_database() as database:
        states = {job: resume(database, job) for job in dict.fromkeys(jobs)}
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
    """Let a finished, not accepted job go on from where it stood; --budget raises what it may spend in all.

    Its history stays, and so does what it has spent. Hours go on from where they stood when it ended.
    """
    from tasks.store.lifecycle import retry
    from tasks.submit import read_changes
    from workers.cli.database import open_database

    changes = read_changes(budget)
    with open_database() as database:
        state = retry(database, job, changes)
    if as_json:
        output.emit({"job": job, "state": str(state)})
    else:
        print(f"job {job} is {state}")


@app.command()
def fork(
    job: JobArgument,
    upto: Annotated[
        int, typer.Option("--from", metavar="N", min=1, max=LARGEST_ITERATION, help="The last iteration to keep.")
    ],
    budget: Budget = [],  # noqa: B006
    strategy: Annotated[str | None, typer.Option(metavar="NAME", help="Instead of the job's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all sampling; another than the job's where left out.")] = None,
    as_json: output.Json = False,
) -> None:
    """Start a new job that begins with iterations 1 to N of this one. Prints its number.

    It has spent nothing: the tokens of what it begins with belong to the first job. Those iterations do count
    towards its budget of iterations.
    """
    from tasks.store.lifecycle import fork
    from tasks.submit import read_changes
    from workers.cli.database import open_database
    from workers.strategies import load_strategies

    known = sorted(load_strategies().working) if strategy is not None else ()
    changes = read_changes(budget, strategy=strategy, seed=seed, strategies=known)
    with open_database() as database:
        made = fork(database, job, upto, changes)
    if as_json:
        output.emit({"job": made, "forked_from": job, "forked_iteration": upto})
    else:
        print(made)
