"""`redraft edit`: what changes of a job that has not ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import edits, output
from workers.cli.jobs import JobArgument
from workers.cli.lifecycle import Budget

if TYPE_CHECKING:
    from tasks.client import Client
    from tasks.types import Changes

app = typer.Typer()
# Flags of `redraft submit` that say what a job is from its first prompt on.
FIXED = (
    "--strategy", "--lane", "--egress", "--model", "--seed", "--key", "--no-memory", "--cut", "--ask", "--ask-timeout",
    "--pool-budget",
)  # fmt: skip


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def edit(
    context: typer.Context,
    job: JobArgument,
    budget: Budget = [],  # noqa: B006  (typer reads it and hands out a new list)
    priority: Annotated[int | None, typer.Option(help="From -100 to 100; higher runs first.")] = None,
    tag: Annotated[list[str], typer.Option("--tag", metavar="T", help="The tags, in place of those it has.")] = [],  # noqa: B006
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Take its tags away.")] = False,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Another title.")] = None,
    check: Annotated[
        list[str],
        typer.Option("--check", metavar="KIND:VALUE", help="Add a check, or replace the one of its name."),
    ] = [],  # noqa: B006
    hidden_check: Annotated[
        list[str], typer.Option("--hidden-check", metavar="KIND:VALUE", help="The same, hidden from the model.")
    ] = [],  # noqa: B006
    drop_check: Annotated[
        list[str], typer.Option("--drop-check", metavar="NAME", help="Take the check of that name away.")
    ] = [],  # noqa: B006
    as_json: output.Json = False,
) -> None:
    """Change the budget, the priority, the tags, the title or the checks of a job that waits, runs or is paused.

    A budget counts from the next call and the next decision on, and may be made smaller, down to what is used. The
    title and the checks change with the next iteration; new checks judge the best candidates of before anew, and
    nothing is accepted before they have. A job that ended unsolved goes on with a larger budget; nothing else of a
    finished job changes. Who changed what, and when, is kept: `redraft show` lists it.
    """
    from tasks.errors import InvalidInput
    from tasks.jobfields import read_changes
    from workers.cli.client import connect

    _refuse(context.args, job)
    if tag and no_tags:
        raise InvalidInput("--no-tags", "", "given without --tag")
    changes = read_changes(budget, priority=priority, tags=tag if tag or no_tags else None, title=title)
    with_checks = bool(check or hidden_check or drop_check)
    if not budget and not with_checks and (priority, changes.tags, title) == (None, None, None):
        flags = "--budget, --priority, --tag, --no-tags, --title, --check, --hidden-check or --drop-check"
        raise InvalidInput("edit", "", f"name what is to change: {flags}")
    with connect() as client:
        if with_checks:
            changes = _with_checks(client, job, changes, check, hidden_check, drop_check)
        state = client.edit(job, changes)
        last = client.edits(job)[-1]
    if as_json:
        output.emit({"job": job, "state": str(state), **edits.document(last)})
    else:
        output.line(f"job {job} is {state}: {edits.difference(last)}{edits.since(last)}")


def _with_checks(
    client: Client, job: int, changes: Changes, check: Sequence[str], hidden: Sequence[str], drop: Sequence[str]
) -> Changes:
    """The changes with the job's checks as they are to be, tried as at a submission. Raises `InvalidInput`."""
    from tasks.installed import installed_rules
    from tasks.jobedits import edited_checks
    from tasks.jobflags import parse_check_flag
    from tasks.settings import load_settings

    written = [parse_check_flag(text, held_out=False, flag="--check") for text in check]
    written += [parse_check_flag(text, held_out=True, flag="--hidden-check") for text in hidden]
    rules = installed_rules(load_settings(), dry_runs=True)
    spec, (checks, last) = client.load(job).spec, client.checks(job)
    checks, notes = edited_checks(spec, checks, written, drop, Path.cwd(), rules)
    for line in notes:
        output.note(line)
    return dataclasses.replace(changes, checks=checks, checks_edit=last)


def _refuse(extra: Sequence[str], job: int) -> None:
    """Raises `InvalidInput` for what a job can't change, `NoSuchOption` for what no job has."""
    from click import NoSuchOption

    from tasks.errors import InvalidInput

    for given in extra:
        name = given.partition("=")[0]
        if name in FIXED:
            allowed = f"it is fixed when a job is submitted; `redraft fork {job} --from N`, or another submission"
            raise InvalidInput("edit", name, allowed)
        if name.startswith("-"):
            raise NoSuchOption(name)
        raise InvalidInput("edit", given, "one job, and flags; a value that holds spaces is quoted")
