"""`redraft edit`: what changes of a job that has not ended."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli import edits, output
from workers.cli.jobs import JobArgument
from workers.cli.lifecycle import Budget

app = typer.Typer()


@app.command()
def edit(
    job: JobArgument,
    budget: Budget = [],  # noqa: B006  (typer reads it and hands out a new list)
    priority: Annotated[int | None, typer.Option(help="From -100 to 100; higher runs first.")] = None,
    tag: Annotated[list[str], typer.Option("--tag", metavar="T", help="The tags, in place of those it has.")] = [],  # noqa: B006
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Take its tags away.")] = False,
    as_json: output.Json = False,
) -> None:
    """Change the budget, the priority or the tags of a job that waits, runs or is paused.

    A budget counts from the next call and the next decision on, and may be made smaller, down to what is used. A job
    that ended unsolved goes on with a larger budget; nothing else of a finished job changes. Who changed what, and
    when, is kept: `redraft show` lists it.
    """
    from tasks.errors import InvalidInput
    from tasks.jobfields import read_changes
    from workers.cli.client import connect

    if tag and no_tags:
        raise InvalidInput("--no-tags", "", "given without --tag")
    changes = read_changes(budget, priority=priority, tags=tag if tag or no_tags else None)
    if not budget and priority is None and changes.tags is None:
        raise InvalidInput("edit", "", "name what is to change: --budget, --priority, --tag or --no-tags")
    with connect() as client:
        state = client.edit(job, changes)
        last = client.edits(job)[-1]
    if as_json:
        output.emit({"job": job, "state": str(state), **edits.document(last)})
    else:
        output.line(f"job {job} is {state}: {edits.difference(last)}")
