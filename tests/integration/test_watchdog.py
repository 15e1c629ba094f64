"""Progress is watched, not life: a holder that gets nowhere loses its lease with a reason, and a worker that nobody
wakes, or that hears nobody, is found and repaired by itself. Real Postgres, Valkey and renewers."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tasks.llm.scripted import ScriptedModel
from tasks.ports import ChatModel, Heartbeat
from tasks.store import dispatch, reaping
from tasks.store.fleet import live_workers
from tasks.store.invariants import breaches
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.ledger import PostgresLedger
from tasks.store.presence import WorkerRegistration
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, ChatRequest, CheckSpec, Completion, JobSpec, JobState, Lane
from tests.background import running
from tests.integration.test_stopping import eventually, process
from tests.integration.test_worker import take_locally
from tests.loops import twin_loop
from tests.standin.deaf import deafened
from workers.celery_app import make_app
from workers.events import TurnEvents
from workers.turn_runner import TurnRunner
from workers.watchdog import Watchdog

pytestmark = pytest.mark.integration
LANES = frozenset({Lane.GPU, Lane.CHECK})
ANSWER = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
NOWHERE = "redis://127.0.0.1:1/0"


def put(user: Database) -> int:
    made = JobSpec(title="t", problem="Six times seven?", checks=(ANSWER,), budget=Budget(iterations=3), memory=False)
    return submit_jobs(user, [made])[0].job


class Stuck(ScriptedModel):
    """Streams nothing and looks at nothing until it is `freed`; `begun` tells that it was asked."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.begun, self.freed = threading.Event(), threading.Event()

    def _wait(self, request: ChatRequest) -> str:
        self.begun.set()
        self.freed.wait()
        return "ANSWER: 42"


class Busy(ScriptedModel):
    """Announces silence again and again, looks whether it must stop, and brings nothing."""

    def __init__(self) -> None:
        super().__init__(lambda request: "")
        self.ended: Exception | None = None

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        try:
            while True:
                heartbeat.expect_silence(600)
                heartbeat.check()
                threading.Event().wait(0.05)
        except Exception as error:
            self.ended = error
            raise


@contextlib.contextmanager
def runner(
    name: str, model: ChatModel, fleet_url: str, *, silence: float = 60.0, lease: float = 1.0
) -> Iterator[TurnRunner]:
    """A worker's turn runner around a scripted model, with a renewer of its own."""
    card = WorkerRegistration(name=name, host="h", pid=1, lanes=tuple(LANES), slots=1, model="m", version="0")
    renewer = LeaseRenewer(fleet_url, lambda: card, lease_seconds=lease, silence_seconds=silence)
    with Database(fleet_url) as database:
        made = twin_loop(PostgresLedger(database, fault_cap=3), model)
        with running(renewer.run):
            yield TurnRunner(
                database=database,
                renewer=renewer,
                worker=name,
                slots=1,
                lanes=lambda: LANES,
                loop=made,
                rules=dispatch.ClaimRules(lease_seconds=lease, affinity_seconds=0),
                events=TurnEvents(make_app(NOWHERE), name),
                can_admit=lambda lane, turn: True,
                on_turn_end=lambda turn: None,
            )


@contextlib.contextmanager
def turn(at: TurnRunner, free: Callable[[], None] = lambda: None) -> Iterator[threading.Thread]:
    """A wake-up, answered in a thread that ends with the test."""
    taking = threading.Thread(target=at.take_turn, args=("gpu", "turn"))
    taking.start()
    try:
        yield taking
    finally:
        free()
        taking.join(30)
        assert not taking.is_alive()


def kinds(fleet: Database, job: int) -> set[str]:
    with fleet.connect() as connection:
        return set(connection.execute(text("SELECT kind FROM events WHERE job_id = :j"), {"j": job}).scalars())


def test_a_holder_whose_stream_never_yields_loses_its_lease_and_another_finishes_the_job(
    user: Database, fleet: Database, fleet_url: str
) -> None:
    job, stuck = put(user), Stuck()
    with runner("w1", stuck, fleet_url, silence=0.5) as first, turn(first, stuck.freed.set):
        assert stuck.begun.wait(30)
        eventually(lambda: reaping.reap(fleet, crash_cap=3) == (job,))
        bill = job_summary(user, job).lost_work
        assert (bill.crashes, bill.calls) == (1, 1)
        assert "no token and no verdict for" in bill.why
        assert "worker w1 was last seen" in bill.why
        with runner("w2", ScriptedModel(lambda request: "ANSWER: 42"), fleet_url) as second:
            second.take_turn("gpu", "other")
        assert job_summary(user, job).state is JobState.ACCEPTED
    assert "lease expired" in kinds(fleet, job)
    assert breaches(fleet, drained=True) == (), "what the stuck one brought in the end was refused"


def test_a_holder_that_renews_its_lease_and_gets_nowhere_loses_it_too(
    user: Database, fleet: Database, fleet_url: str
) -> None:
    job, busy = put(user), Busy()
    with runner("w1", busy, fleet_url) as first, turn(first) as taking:
        eventually(lambda: job_summary(user, job).worker == "w1")
        assert reaping.reap(fleet, crash_cap=3) == ()
        eventually(lambda: reaping.reap(fleet, crash_cap=3, stall_seconds=2) == (job,))
        taking.join(30)
        assert not taking.is_alive(), "it heard at its next look"
    assert type(busy.ended).__name__ == "LeaseLost"
    assert "lease taken" in kinds(fleet, job)


def watchdog(at: TurnRunner, leave: Callable[[str], None], broker: str = NOWHERE, deaf: float = 60.0) -> Watchdog:
    return Watchdog(at, lanes=lambda: LANES, broker=broker, wakeup_silence_seconds=0.2, deaf_seconds=deaf, leave=leave)


def test_a_worker_that_nobody_wakes_finds_its_work_itself(user: Database, fleet_url: str) -> None:
    left = list[str]()
    with (
        runner("w1", ScriptedModel(lambda request: "ANSWER: 42"), fleet_url) as alone,
        running(watchdog(alone, left.append).run),
    ):
        jobs = [put(user) for _ in range(2)]
        eventually(lambda: all(job_summary(user, job).state.final for job in jobs))
        eventually(lambda: alone.free_slots)
    assert left == [], "a broker that is away is no reason to end"


def test_a_turn_that_outlives_its_lease_makes_the_worker_end(user: Database, fleet: Database, fleet_url: str) -> None:
    job, stuck, left = put(user), Stuck(), list[str]()
    with (
        runner("w1", stuck, fleet_url, silence=0.2) as first,
        turn(first, stuck.freed.set),
        running(watchdog(first, left.append, deaf=0.5).run),
    ):
        eventually(lambda: left)
    assert left[0] == f"the turn at job {job} does not end though its lease is gone"


def test_a_worker_whose_subscription_is_dead_does_its_work_and_ends_to_be_started_again(
    user: Database, fleet: Database, fleet_url: str, valkey_url: str, tmp_path: Path
) -> None:
    """It lives, says so in Postgres, and its connections answer: but the wait for a message never comes back."""
    given = {
        "HOME": str(tmp_path / "home"),
        "AFFINITY_SECONDS": "0",
        "WAKEUP_SILENCE_SECONDS": "1",
        "DEAF_SECONDS": "4",
        "DRAIN_SECONDS": "1",
    }
    environment = {
        **os.environ,
        **{f"REDRAFT_{name}": value for name, value in given.items()},
        "REDRAFT_DATABASE_URL": fleet_url,
        "REDRAFT_BROKER_URL": valkey_url,
    }
    job = put(user)
    take_locally(fleet, Lane.GPU)
    with deafened(valkey_url) as deaf, process(["relay"], environment):
        with process(["worker", "--lane", "check"], {**environment, "REDRAFT_BROKER_URL": deaf}) as running:
            eventually(lambda: live_workers(user), lambda: running.poll() is None)
            eventually(lambda: job_summary(user, job).iterations == 1)
            assert running.wait(60) == 1
        assert live_workers(user) == ()
