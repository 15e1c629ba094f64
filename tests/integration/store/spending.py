"""Jobs, claims and calls for the tests of budgets, and a clock that can be put forward."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.store import dispatch
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    Budget,
    CallKey,
    ChatRequest,
    CheckSpec,
    Claim,
    CloudPlan,
    Completion,
    Egress,
    JobSpec,
    Lane,
    Message,
    Operator,
)
from tests import loops

CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
REQUEST = ChatRequest(messages=(Message(role="user", content="?"),))
RULES = dispatch.ClaimRules(affinity_seconds=0)


def submit(user: Database, count: int = 1, budget: Budget | None = None, **fields: Any) -> list[int]:
    spec = JobSpec(title="t", problem="p", checks=(CHECK,), budget=budget or Budget(), egress=Egress.FULL, **fields)
    return [one.job for one in submit_jobs(user, [spec] * count, egress=Egress.FULL)]


def take(fleet: Database, worker: str = "w") -> Claim:
    claim = dispatch.claim(fleet, [Lane.GPU], worker, "turn", RULES)
    assert claim is not None
    return claim


def key(slot: int = 0) -> CallKey:
    return CallKey(iteration=1, operator=Operator.DRAFT, slot=slot, attempt=1)


def completion(tokens: int, usd: Decimal = Decimal(0), seconds: float = 0.1) -> Completion:
    return Completion(
        text="ANSWER: 7",
        finish_reason="stop",
        model="m",
        prompt_tokens=tokens - 1,
        cached_tokens=0,
        completion_tokens=1,
        seconds=seconds,
        usd=usd,
    )


def plan(usd: str, tokens: int = 100) -> CloudPlan:
    return CloudPlan(model="m", request="{}", usd=Decimal(usd), prompt_tokens=tokens - 10, completion_tokens=10)


def value(database: Database, query: str, **parameters: object) -> Any:
    with database.connect() as connection:
        return connection.execute(text(query), parameters).scalar_one()


def change(database: Database, statement: str, **parameters: object) -> None:
    with database.begin() as connection:
        connection.execute(text(statement), parameters)


def events(database: Database, kind: str) -> list[str]:
    with database.connect() as connection:
        query = text("SELECT detail FROM events WHERE kind = :kind ORDER BY id")
        return list(connection.execute(query, {"kind": kind}).scalars())


def pass_hours(fleet: Database, hours: float) -> None:
    """The clock goes on: every moment that is kept of jobs and leases is so much longer ago."""
    moments = text("""SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
                      AND table_name IN ('jobs', 'leases') AND data_type LIKE 'timestamp%'""")
    with fleet.begin() as connection:
        for table, column in connection.execute(moments).all():
            earlier = f"UPDATE {table} SET {column} = {column} - make_interval(secs => 3600 * :hours)"
            connection.execute(text(earlier), {"hours": hours})


def work(fleet: Database, ledger: PostgresLedger) -> None:
    """Turns until no job may be claimed; a wait is not cut short."""
    while (claim := dispatch.claim(fleet, loops.ENGINE_AND_CHECKS, "w", "turn", RULES)) is not None:
        loops.twin_loop(ledger, ScriptedModel(loops.corrected)).turn(claim, loops.ENGINE_AND_CHECKS, SilentHeartbeat())
