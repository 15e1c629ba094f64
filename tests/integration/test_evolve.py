"""The strategies `evolve` and `climb` on a real Postgres: edits that apply and edits that don't, and crashes that
change nothing."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Any

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.types import ChatRequest, JobState, StopCode
from tests.doubles import Death, Killed, Mortal
from tests.integration.test_score_loop import MeasuredChecks, put
from tests.loops import ENGINE_AND_CHECKS, outlive, run, take, twin_loop

pytestmark = pytest.mark.integration
LONG = "\n".join(hashlib.sha256(str(line).encode()).hexdigest() for line in range(30))
SAMPLING = Sampling(answer_tokens=1024, review_tokens=32)
# Every so many writes of a run are its last ones.
STRIDE = 9


def written(request: ChatRequest) -> str:
    """A long answer with a value, or an edit of the value, a third of which don't apply; a fourth of all values are
    none. A function of the request alone."""
    prompt = request.messages[-1].content
    number = zlib.crc32(f"{request.seed}{request.temperature}{prompt}".encode())
    line = "answer none" if number % 4 == 0 else f"answer {number % 1000 - 500}"
    if "<<<<<<< SEARCH" not in prompt:
        return f"{LONG}\n{line}"
    (old, *_) = re.findall(r"^answer \S+$", prompt, re.MULTILINE)
    return f"<<<<<<< SEARCH\n{old if number % 3 else 'nowhere'}\n=======\n{line}\n>>>>>>> REPLACE"


def outcome(user: Database, job: int) -> tuple[Any, ...]:
    """How a job ended, its iterations with their values, and every text of a candidate."""
    end = job_summary(user, job)
    with user.connect() as connection:
        query = text("SELECT iteration, slot, operator, text FROM candidates WHERE job_id = :job ORDER BY 1, 2")
        made = [tuple(row) for row in connection.execute(query, {"job": job})]
    history = [(row.operator, row.value, row.improved, row.decision) for row in job_history(user, job)]
    return end.state, end.value, end.reason, history, made


@pytest.mark.parametrize("strategy", ["evolve", pytest.param("climb", marks=pytest.mark.slow)])
def test_a_crash_at_any_write_changes_nothing_of_what_is_made(user: Database, fleet: Database, strategy: str) -> None:
    ledger, checks = PostgresLedger(fleet, fault_cap=3), MeasuredChecks()
    fields: dict[str, Any] = {"checks": checks, "sampling": SAMPLING, "width": 2}
    whole = put(user, iterations=8, strategy=strategy)
    run(fleet, ledger, ScriptedModel(written), **fields)
    expected, crashes, jobs = outcome(user, whole), 0, [whole]
    assert job_summary(user, whole).state is JobState.ACCEPTED
    assert job_summary(user, whole).stop_ended_by is StopCode.BUDGET_ITERATIONS
    assert "vary" in {operator for _, _, operator, _ in expected[4]}
    edits = [made for _, _, operator, made in expected[4] if operator == "edit"]
    assert {"<<<<<<< SEARCH" in made for made in edits} == {True, False}, "some apply, and some don't"
    assert all(made.startswith(LONG) for made in edits if "<<<<<<< SEARCH" not in made)
    for fatal in range(0, 10_000, STRIDE):
        job, death = put(user, iterations=8, strategy=strategy), Death(fatal, after=bool(fatal % 2))
        jobs.append(job)
        while (claim := take(fleet)) is not None:
            try:
                mortal: Any = Mortal(ledger, death)
                turn = twin_loop(mortal, ScriptedModel(written), **fields)
                turn.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
            except Killed:
                crashes += 1
                outlive(fleet)
        assert outcome(user, job) == expected
        if not death.at:
            break
    assert crashes >= 5
    assert breaches(fleet, submitted=jobs, drained=True) == ()
