"""What a killed worker cost: the calls in flight are made again, no other, and the job's bill says what is known."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from tasks.store import dispatch, reaping
from tasks.store.fleet import live_workers
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.store.summaries import LostWork
from tasks.types import Budget, CallKey, CheckSpec, Claim, JobSpec, JobState, Lane, Operator
from tests.integration.test_stopping import eventually, process
from tests.standin.paced import Engine, streaming

pytestmark = pytest.mark.integration
ANSWER = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
LEASE_SECONDS = 3.0


def put(user: Database) -> int:
    made = JobSpec(title="t", problem="Say it.", checks=(ANSWER,), budget=Budget(iterations=3), memory=False)
    return submit_jobs(user, [made])[0].job


def take(fleet: Database) -> Claim:
    claim = dispatch.claim(fleet, [Lane.GPU], "w", "turn", dispatch.ClaimRules())
    assert claim is not None
    return claim


def lose(fleet: Database) -> None:
    with fleet.begin() as connection:
        connection.execute(text("UPDATE leases SET lease_until = now() - interval '1 s'"))
    assert reaping.reap(fleet, crash_cap=9)


def draft(slot: int) -> CallKey:
    return CallKey(iteration=1, operator=Operator.DRAFT, slot=slot, attempt=1)


def test_a_lost_lease_is_billed_with_its_calls_in_flight_and_adds_up(user: Database, fleet: Database) -> None:
    job, ledger = put(user), PostgresLedger(fleet, fault_cap=3)
    for slots in (2, 1):
        claim = take(fleet)
        for slot in range(slots):
            ledger.reserve(claim, draft(slot), 100)
        with fleet.begin() as connection:
            connection.execute(
                text("UPDATE reservations SET received_tokens = 7, begun_at = now() - interval '5 s'"),
            )
        lose(fleet)
    bill = job_summary(user, job).lost_work
    assert (bill.crashes, bill.calls, bill.tokens, bill.tokens_at_most) == (2, 3, 21, 300)
    assert 0 < bill.seconds <= bill.seconds_at_most
    assert bill.why == "no token and no verdict for 0 s on lane gpu (claimed); worker w is gone"
    with user.connect() as connection:
        seen = connection.execute(text("SELECT lost_work FROM job_summary WHERE job = :j"), {"j": job}).scalar_one()
    assert LostWork(**seen) == bill


def test_what_is_handed_back_is_no_crash(user: Database, fleet: Database) -> None:
    job, ledger = put(user), PostgresLedger(fleet, fault_cap=3)
    claim = take(fleet)
    ledger.reserve(claim, draft(0), 100)
    ledger.hand_over(claim, Lane.GPU, interrupted=True)
    ledger.hand_over(take(fleet), Lane.GPU)
    assert job_summary(user, job).lost_work == LostWork()


def test_nobody_sees_the_bill_of_another(user: Database, fleet: Database, login: Callable[..., str]) -> None:
    job = put(user)
    take(fleet)
    lose(fleet)
    assert job_summary(user, job).lost_work.crashes == 1
    with Database(login("eve")) as eve, eve.connect() as connection:
        bill = connection.execute(text("SELECT redraft_lost_work(:j) ->> 'crashes'"), {"j": job}).scalar_one()
    assert bill == "0"


@pytest.fixture
def environment(fleet_url: str, valkey_url: str, tmp_path: Path) -> dict[str, str]:
    given = {"HOME": str(tmp_path / "home"), "LEASE_SECONDS": str(LEASE_SECONDS), "WIDTH": "2"}
    return {
        **os.environ,
        **{f"REDRAFT_{name}": value for name, value in given.items()},
        "REDRAFT_DATABASE_URL": fleet_url,
        "REDRAFT_BROKER_URL": valkey_url,
    }


def worker(engine: Engine, environment: dict[str, str]) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    return process(["worker", "--lane", "gpu,check"], {**environment, "REDRAFT_ENDPOINT": engine.url})


def shown(environment: dict[str, str], job: int) -> dict[str, object]:
    said = subprocess.run(
        [sys.executable, "-m", "workers.cli.main", "show", str(job), "--json"],
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(said.stdout)["lost_work"])


@pytest.mark.slow  # test_stack.py kills a worker, and the sums are tested here
def test_a_killed_worker_costs_its_calls_in_flight_and_the_job_says_so(
    user: Database, fleet: Database, environment: dict[str, str]
) -> None:
    """One job loses two endless drafts; the other never meets a crash."""
    endless = [True]
    with (
        streaming(lambda prompt: None if endless[0] else "It is\nANSWER: 42\n") as engine,
        process(["relay"], environment),
    ):
        with worker(engine, environment) as first:
            eventually(lambda: live_workers(user), lambda: first.poll() is None)
            job = put(user)
            eventually(lambda: received(fleet) > 0, lambda: first.poll() is None)
            first.send_signal(signal.SIGKILL)
            first.wait()
        eventually(lambda: engine.under_way == 0)
        endless[0] = False
        with worker(engine, environment) as second:
            eventually(lambda: job_summary(user, job).state.final, lambda: second.poll() is None)
            unharmed = put(user)
            eventually(lambda: job_summary(user, unharmed).state.final, lambda: second.poll() is None)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert (engine.aborted, engine.whole) == (2, 4), "each slot's call is made again, once, and no other"
    bill = shown(environment, job)
    assert (bill["crashes"], bill["calls"]) == (1, 2)
    assert 0 < bill["tokens"] < bill["tokens_at_most"]  # type: ignore[operator]
    assert 0 < bill["seconds"] <= bill["seconds_at_most"]  # type: ignore[operator]
    assert shown(environment, unharmed)["crashes"] == 0
    assert breaches(fleet, drained=True) == ()


def received(fleet: Database) -> int:
    """What the renewer has last said of both calls in flight: the lesser of the two."""
    query = text("SELECT CASE WHEN count(*) = 2 THEN min(received_tokens) ELSE 0 END FROM reservations")
    with fleet.connect() as connection:
        return int(connection.execute(query).scalar_one())
