"""A job that no local model solves, and a loop that may ask the cloud. What both files of tests need."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import text

from tasks.deadline import Clock
from tasks.escalation import Escalation
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.prices import prices_of
from tasks.llm.responsebody import CloudTerms
from tasks.llm.responses import OpenAIResponses
from tasks.llm.scripted import ScriptedModel
from tasks.loop import Loop
from tasks.store.escalations import PostgresEscalations
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, ChatRequest, CheckSpec, Egress, HelpRules, JobSpec, Lane
from tests.advisers import one_api
from tests.loops import take, twin_loop
from tests.standin.responses import Rule

ALL = frozenset(Lane)
VISIBLE = CheckSpec(name="answer:visible", kind="answer", value={"regex": "[0-9]+"})
HIDDEN = CheckSpec(name="answer:hidden", kind="answer", value={"exact": "4711"}, held_out=True)
RIGHT = Rule(contains="What is the secret?", answer="Thought about it.\nANSWER: 4711")
PRICES = prices_of("gpt-5.4")
FAULT_CAP = 3
TRY = "a try\nANSWER: 7"


def serve(fleet: Database, lanes: str = "{gpu,fast,check,cloud}") -> None:
    """A live worker presents itself."""
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)
                    VALUES ('w', 'h', 1, CAST(:lanes AS text[]), 4, '0', now() + interval '1 hour')"""),
            {"lanes": lanes},
        )


def put(user: Database, **fields: Any) -> int:
    given = {"budget": Budget(iterations=6), "egress": Egress.FULL, **fields}
    made = JobSpec(**{"title": "A secret", "problem": "What is the secret?", "checks": (VISIBLE, HIDDEN), **given})
    return submit_jobs(user, [made], egress=Egress.FULL)[0].job


def loop(
    fleet: Database,
    url: str,
    *,
    ledger: Any = None,
    asked: Any = None,
    after: int = 2,
    hints: int = 0,
    fallbacks: Sequence[str] = (),
    clock: Clock = time.monotonic,
    answer: Callable[[ChatRequest], str] = lambda request: TRY,
) -> Loop:
    """A loop whose local model repeats itself at once, so that it asks the cloud after `after` rejected iterations, for
    so many `hints` first."""
    model = ScriptedModel(answer)
    cloud = OpenAIResponses(
        base_url=url, api_key="sk-test", first_event_seconds=20, answer_seconds=60, pauses=(0.02, 0.05)
    )
    return twin_loop(
        ledger or PostgresLedger(fleet, fault_cap=8),
        model,
        cloud=Escalation(
            ledger=asked or PostgresEscalations(fleet),
            advisers=one_api(
                cloud,
                CloudTerms(model="gpt-5.4", effort="high", output_tokens=4096),
                CloudTerms(model="gpt-5.4", effort="low", output_tokens=1024),
                PRICES,
                fallbacks,
            ),
            fault_cap=FAULT_CAP,
        ),
        escalate_after=after,
        help=HelpRules(hints=hints, hint_iterations=2),
        clock=clock,
    )


def run(fleet: Database, url: str, **fields: Any) -> int:
    """Turns until there is nothing to do; returns how many. `fields` are those of `loop`."""
    for turns in itertools.count():
        claim = take(fleet, *ALL)
        if claim is None:
            return turns
        loop(fleet, url, **fields).turn(claim, ALL, SilentHeartbeat())
    raise AssertionError


def until_escalation(fleet: Database, url: str) -> None:
    """Turns until the job's next step is the cloud's."""
    while True:
        with fleet.connect() as connection:
            if connection.execute(text("SELECT lane FROM leases")).scalar_one() == "cloud":
                return
        claim = take(fleet, *ALL)
        assert claim is not None
        loop(fleet, url).turn(claim, ALL, SilentHeartbeat())


def rows(fleet: Database, job: int) -> list[Any]:
    query = text("SELECT * FROM escalation_history WHERE job = :job ORDER BY 1")
    with fleet.connect() as connection:
        return list(connection.execute(query, {"job": job}))


def events(fleet: Database, job: int) -> list[str]:
    query = text("SELECT kind FROM events WHERE job_id = :job ORDER BY id")
    with fleet.connect() as connection:
        return list(connection.execute(query, {"job": job}).scalars())
