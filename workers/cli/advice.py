"""`redraft hint | answer`: what a person tells a job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import output
from workers.cli.jobs import JobArgument

if TYPE_CHECKING:
    from tasks.store.hints import HintOutcome

app = typer.Typer()


@app.command()
def hint(
    job: JobArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The advice, or - for standard input.")],
    as_json: output.Json = False,
) -> None:
    """Give a job advice, which its next iteration and all later ones see.

    A job that ended unsolved goes on with what is left of its budget. Advice is shown to whoever writes an answer,
    never to a judge, and no check depends on it.
    """
    from workers.cli.client import connect

    advice = read_text("hint", text)
    with connect() as client:
        done = client.hint(job, advice)
    if as_json:
        state = "queued" if done.held_up == "" else str(done.state)
        output.emit({"job": job, "state": state, "reopened": done.held_up == "", "held_up": done.held_up or ""})
    else:
        output.line(_outcome(job, done))


@app.command()
def answer(
    job: JobArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The answer, or - for standard input.")],
    as_json: output.Json = False,
) -> None:
    """Answer the question of a job that needs input, which then goes on.

    `redraft show JOB` says what it asks. Its next iteration and all later ones see the answer, as they see a hint;
    `redraft resume JOB` lets it go on without one.
    """
    from workers.cli.client import connect

    said = read_text("answer", text)
    with connect() as client:
        state = client.answer(job, said)
    if as_json:
        output.emit({"job": job, "state": str(state)})
    else:
        print(f"job {job} is {state}; its next iteration sees the answer")


def read_text(field: str, argument: str) -> str:
    """The text that was given, or that standard input holds for `-`. Raises `InvalidInput` where it is no UTF-8."""
    from tasks.errors import InvalidInput

    if argument != "-":
        return argument
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(field, f"byte {error.start} of standard input", "text in UTF-8") from None


def _outcome(job: int, done: HintOutcome) -> str:
    if done.held_up == "":
        return f"job {job} was unsolved and goes on; its next iteration sees the hint"
    if done.held_up is not None:
        return f"job {job} is unsolved and keeps the hint, but can't go on with it: {done.held_up}"
    if done.state == "needs_input":
        return f"job {job} waits for an answer (`redraft answer {job}`); its next iteration sees the hint, too"
    if done.state == "paused":
        return f"job {job} is paused; its next iteration sees the hint: `redraft resume {job}`"
    return f"job {job} is {done.state}; its next iteration sees the hint"
