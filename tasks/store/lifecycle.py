"""Cancel, pause, resume, retry, fork, edit: each is one call of a function in the database, which checks the owner and
locks the job's lease row (migration 0004). Knows nothing of workers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tasks.errors import InvalidInput, NoSuchJob
from tasks.store import codec
from tasks.store.session import Database, explained
from tasks.types import Changes, JobState

# What the functions raise where a request is not allowed: field, value and rule.
REFUSED = "RD001"


def request_cancel(database: Database, job: int) -> JobState:
    """Cancels a job, at once where no worker holds it; its holder is notified otherwise. A finished job stays as it is.

    Returns the state it has now. Raises `NoSuchJob`, `DatabaseUnavailable`.
    """
    return _state(database, job, "SELECT redraft_cancel(:job)")


def request_pause(database: Database, job: int) -> JobState:
    """Pauses a job, at once where no worker holds it; its holder is notified otherwise. A finished job stays as it is.

    Returns the state it has now. Raises `NoSuchJob`, `DatabaseUnavailable`.
    """
    return _state(database, job, "SELECT redraft_pause(:job)")


def resume(database: Database, job: int) -> JobState:
    """Queues a paused job again, or withdraws a pause that its worker has not heard; any other stays as it is.

    Returns the state it has now. Raises `NoSuchJob`, `DatabaseUnavailable`.
    """
    return _state(database, job, "SELECT redraft_resume(:job)")


def retry(database: Database, job: int, changes: Changes) -> JobState:
    """Queues a finished, not accepted job again from where it stood, with the budget that `changes` raises.

    Raises `InvalidInput` where it is not finished, was accepted, or would have nothing left to spend; `NoSuchJob`,
    `DatabaseUnavailable`.
    """
    return _state(database, job, "SELECT redraft_retry(:job, :usd, :hours, :iterations, :tokens)", _budget(changes))


def fork(database: Database, job: int, upto: int, changes: Changes) -> int:
    """A new job of the same owner that begins with iterations 1 to `upto` of this one, and nothing spent.

    Returns its number. Its seed is another unless `changes` names one. Raises `InvalidInput` where `upto` is not
    recorded, or an answer had been accepted by then; `NoSuchJob`, `DatabaseUnavailable`.
    """
    query = "SELECT redraft_fork(:job, :upto, :usd, :hours, :iterations, :tokens, :strategy, :seed)"
    values = {**_budget(changes), "upto": upto, "strategy": changes.strategy, "seed": changes.seed}
    return int(_call(database, job, query, values))


def edit(database: Database, job: int, changes: Changes) -> JobState:
    """Changes the budget, the priority, the tags, the title and the checks of a job that has not ended, as far as
    `changes` names them; one that ended unsolved is queued again with a larger budget. A budget holds from the next
    call and decision on, and what is in a prompt, the title and the checks, from the next iteration on.

    Returns the state it has then. Raises `InvalidInput` where it has ended otherwise, has used more than the new
    budget, its checks were changed after `changes.checks_edit`, or nothing would change; `NoSuchJob`,
    `DatabaseUnavailable`.
    """
    query = """SELECT redraft_edit(:job, :usd, :hours, :iterations, :tokens, :priority, CAST(:tags AS text[]), :title,
                                   CAST(:checks AS jsonb), :checks_edit)"""
    checks = None if changes.checks is None else json.dumps(codec.checks_to_json(changes.checks))
    values = {
        **_budget(changes),
        "priority": changes.priority,
        "tags": None if changes.tags is None else list(changes.tags),
        "title": changes.title,
        "checks": checks,
        "checks_edit": changes.checks_edit,
    }
    return _state(database, job, query, values)


def _budget(changes: Changes) -> dict[str, Any]:
    names = ("usd", "hours", "iterations", "tokens")
    return {name: getattr(changes, name) for name in names}


def _state(database: Database, job: int, query: str, values: dict[str, Any] | None = None) -> JobState:
    return JobState(_call(database, job, query, values or {}))


def _call(database: Database, job: int, query: str, values: dict[str, Any]) -> Any:
    with database.begin() as connection, explained(), refusals():
        answer = connection.execute(text(query), {"job": job, **values}).scalar_one()
    if answer is None:
        raise NoSuchJob(job)
    return answer


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turns what a function in the database refuses into `InvalidInput`."""
    try:
        yield
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error) or error.orig.sqlstate != REFUSED:
            raise
        diagnostic = error.orig.diag
        value = diagnostic.message_detail or ""
        raise InvalidInput(
            diagnostic.message_primary or "", int(value) if value.isdigit() else value, diagnostic.message_hint or ""
        ) from None
