"""Hooks on a real Postgres: which change of state is told, by which transaction, and what becomes of a delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from tasks.errors import NotDelivered
from tasks.llm.scripted import ScriptedModel
from tasks.store import hooks, lifecycle, reaping
from tasks.store.engine_watch import EngineWatch
from tasks.store.hints import advise
from tasks.store.hooks import HookDelivery
from tasks.store.ledger import PostgresLedger
from tasks.store.metrics import read_metrics
from tasks.store.outbox import Outbox, Patience
from tasks.store.presence import STARTING
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, ChatRequest, CheckSpec, HookEvent, JobSpec, JobState, Stop, StopCode
from tests.doubles import Killed
from tests.loops import run, take

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
PROBLEM = "What is six times seven?"
ALL = tuple(HookEvent)


@pytest.fixture
def fleet(fleet_url: str) -> Iterator[Database]:
    with Database(fleet_url) as database:
        hooks.register(database, {"ops": ALL})
        yield database


@pytest.fixture
def ledger(fleet: Database) -> PostgresLedger:
    return PostgresLedger(fleet, fault_cap=1)


def says(answer: str) -> ScriptedModel:
    return ScriptedModel(lambda request: f"I need the unit.\nWhich one?\nANSWER: {answer}")


def put(user: Database, **fields: Any) -> int:
    spec = JobSpec(**{"title": "t", "problem": PROBLEM, "checks": (CHECK,), "strategy": "single", **fields})
    return submit_jobs(user, [spec])[0].job


def rows(fleet: Database, columns: str = "payload") -> Sequence[Any]:
    with fleet.connect() as connection:
        query = f"SELECT {columns} FROM outbox WHERE topic LIKE 'hook %' ORDER BY id"
        return connection.execute(text(query)).all()


def types(fleet: Database) -> list[str]:
    return [row.payload["type"] for row in rows(fleet)]


def change(fleet: Database, statement: str) -> None:
    with fleet.begin() as connection:
        connection.execute(text(statement))


# ── which changes of state are told ───────────────────────────────────────────────────────────


def test_an_accepted_job_is_told_with_what_it_came_to(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user, tags=("night",), memory=False)
    assert types(fleet) == []
    run(fleet, ledger, says("42"))
    (row,) = rows(fleet)
    assert (row.payload["type"], row.payload["id"][:4], len(row.payload["id"])) == ("job.accepted", "evt_", 36)
    assert abs((datetime.fromisoformat(row.payload["timestamp"]) - datetime.now(UTC)).total_seconds()) < 600
    data = row.payload["data"]
    told = {
        name: data[name] for name in ("job", "title", "owner", "tags", "state", "acceptance", "score", "iterations")
    }
    assert told == {
        "job": job, "title": "t", "owner": "alice", "tags": ["night"], "state": "accepted", "acceptance": "verified",
        "score": 1.0, "iterations": 1,
    }  # fmt: skip
    assert data["local_tokens"] > 0
    assert data["stop_detail"] == "1.0"
    assert PROBLEM not in str(row.payload)


def test_unsolved_is_told_and_a_spent_budget_by_a_name_of_its_own(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    put(user, memory=False)
    run(fleet, ledger, says("7"))
    put(user, memory=False, strategy="correct", budget=Budget(iterations=1))
    run(fleet, ledger, says("7"))
    assert types(fleet) == ["job.unsolved", "job.over_budget"]
    assert rows(fleet)[1].payload["data"]["stop_code"] == "budget_iterations"


def test_a_question_is_told_without_its_words(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    def asks(request: ChatRequest) -> str:
        question = "Write the question now" in request.messages[-1].content
        return "I need the unit.\nIn which unit is the answer?" if question else "ANSWER: 7"

    put(user, ask=True, memory=False)
    run(fleet, ledger, ScriptedModel(asks))
    assert types(fleet) == ["job.needs_input"]
    assert "unit" not in str(rows(fleet)[0].payload)


def test_a_job_that_kills_its_workers_is_told_as_quarantined(user: Database, fleet: Database) -> None:
    put(user)
    assert take(fleet) is not None
    change(fleet, "UPDATE leases SET lease_until = now() - interval '1 s'")
    reaping.reap(fleet, crash_cap=1)
    assert types(fleet) == ["job.quarantined"]


def test_a_job_that_services_fail_is_told(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    put(user)
    claim = take(fleet)
    assert claim is not None
    ledger.stop(claim, Stop(code=StopCode.SERVICE_FAULTS, used=1, detail="the engine"))
    assert types(fleet) == ["job.failed"]


def test_a_cancelled_job_is_told_by_the_function_that_its_owner_calls(user: Database, fleet: Database) -> None:
    assert lifecycle.request_cancel(user, put(user)) is JobState.CANCELLED
    assert types(fleet) == ["job.cancelled"]


def test_every_state_that_somebody_waits_for_has_an_event(user: Database, fleet: Database) -> None:
    told = {str(event).removeprefix("job.") for event in HookEvent if event.startswith("job.")}
    assert {str(state) for state in JobState if state.final} | {"needs_input"} == told - {"over_budget"}
    for state in JobState:
        job = put(user)
        change(fleet, f"UPDATE jobs SET state = 'paused' WHERE id = {job}")
        change(fleet, f"UPDATE jobs SET state = '{state}' WHERE id = {job}")
    assert sorted(types(fleet)) == sorted(f"job.{state}" for state in JobState if f"job.{state}" in ALL)


def test_one_that_goes_on_at_once_with_a_hint_has_not_ended(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, strategy="correct", memory=False, budget=Budget(iterations=8))
    claim = take(fleet)
    assert claim is not None
    advise(user, job, "Multiply.")
    ledger.stop(claim, Stop(code=StopCode.GAVE_UP, detail="nothing helps"))
    with fleet.connect() as connection:
        assert connection.execute(text("SELECT state FROM jobs")).scalar_one() == "queued"
    assert types(fleet) == []


def test_a_change_that_is_rolled_back_is_not_told(user: Database, fleet: Database) -> None:
    put(user)
    with fleet.connect() as connection:
        connection.execute(text("UPDATE jobs SET state = 'accepted'"))
        connection.rollback()
    assert types(fleet) == []


def test_each_hook_is_told_of_what_it_wants_under_one_id(user: Database, fleet: Database) -> None:
    hooks.register(fleet, {"ops": ALL, "chat": (HookEvent.ACCEPTED,), "pager": (HookEvent.CANCELLED,)})
    lifecycle.request_cancel(user, put(user))
    found = rows(fleet, "topic, payload ->> 'id' AS id")
    assert [row.topic for row in found] == ["hook ops", "hook pager"]
    assert len({row.id for row in found}) == 1


def test_without_a_hook_nothing_is_written(user: Database, fleet: Database) -> None:
    hooks.register(fleet, {})
    lifecycle.request_cancel(user, put(user))
    assert types(fleet) == []


def test_an_owner_sees_neither_hooks_nor_events_of_others(user: Database, fleet: Database, login: Any) -> None:
    lifecycle.request_cancel(user, put(user))
    with fleet.begin() as connection:
        hooks.tell(connection, HookEvent.ENGINE_DOWN, {"host": "gpu-1"})
    for name in ("bob", "alice"):
        with psycopg.connect(login(name).replace("+psycopg", ""), autocommit=True) as own:
            for table in ("hooks", "engine_outages"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    own.execute(f"SELECT * FROM {table}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute("SELECT redraft_tell(NULL, 'job.accepted', '{}')")


# ── what becomes of a delivery ────────────────────────────────────────────────────────────────


class Receiver:
    """Takes what it is told, after as many `refusals`."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals, self.told = list(refusals), list[str]()

    def __call__(self, event: Mapping[str, Any]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.told.append(event["id"])


def outbox(fleet: Database, receiver: Receiver, tries: int = 3) -> Outbox:
    delivery = HookDelivery("ops", receiver)
    patience = Patience(first_seconds=5, longest_seconds=60, spread=0.2, tries=tries)
    return Outbox(fleet, {delivery.topic: delivery.deliver}, patience=patience, on_given_up=delivery.give_up)


@pytest.fixture
def job(user: Database, fleet: Database) -> int:
    """A cancelled job, of which `ops` is to be told."""
    number = put(user)
    lifecycle.request_cancel(user, number)
    return number


def at_once(fleet: Database) -> None:
    change(fleet, "UPDATE outbox SET deliver_at = now()")


def test_a_delivery_is_counted_in_the_transaction_that_marks_it(fleet: Database, job: int) -> None:
    receiver = Receiver()
    assert outbox(fleet, receiver).deliver() == ""
    (hook,) = hooks.hook_rows(fleet)
    assert (hook.name, hook.delivered, hook.waiting, hook.given_up, hook.trouble) == ("ops", 1, 0, 0, "")
    assert hook.delivered_at is not None
    assert len(receiver.told) == 1


def test_pauses_double_and_are_no_shorter_than_the_receiver_asks(fleet: Database, job: int) -> None:
    pauses = []
    carrier = outbox(fleet, Receiver(*(NotDelivered("500"),) * 3, NotDelivered("429", seconds=500)), tries=9)
    for _ in range(4):
        at_once(fleet)
        carrier.deliver()
        pauses.append(rows(fleet, "extract(epoch FROM deliver_at - now())::float AS pause")[0].pause)
    for pause, (least, most) in zip(pauses, ((4, 6), (9, 12), (18, 24), (495, 500)), strict=True):
        assert least <= pause <= most, pauses
    (hook,) = hooks.hook_rows(fleet)
    assert (hook.waiting, hook.trouble) == (1, "1 event waits: 429")


def given_up(fleet: Database) -> float:
    """What the metrics say of it."""
    found = {sample.name: sample for sample in read_metrics(fleet)}["redraft_hook_given_up_total"]
    assert found.labels == {"hook": "ops"}
    return found.value


def test_after_its_last_try_it_is_given_up_and_said_so_until_it_is_sent_again(
    user: Database, fleet: Database, job: int
) -> None:
    receiver = Receiver(*(NotDelivered("500 Internal Server Error"),) * 3)
    carrier = outbox(fleet, receiver)
    for _ in range(3):
        at_once(fleet)
        assert carrier.deliver() == "500 Internal Server Error"
    at_once(fleet)
    assert carrier.deliver() is None
    (hook,) = hooks.hook_rows(fleet)
    assert (hook.waiting, hook.given_up) == (0, 1)
    assert hook.trouble == "1 event was given up: 500 Internal Server Error"
    assert given_up(fleet) == 1
    with user.connect() as connection:
        noted = connection.execute(text("SELECT detail FROM events WHERE kind = 'not told'")).scalar_one()
    assert noted == "ops, after 3 tries: 500 Internal Server Error"
    assert hooks.retry(fleet, "ops") == 1
    assert carrier.deliver() == ""
    assert receiver.told == [rows(fleet)[0].payload["id"]]
    assert hooks.hook_rows(fleet)[0].trouble == ""


def test_a_receiver_that_wants_no_more_is_left_alone_until_somebody_tries_again(
    user: Database, fleet: Database, job: int
) -> None:
    lifecycle.request_cancel(user, put(user))
    carrier = outbox(fleet, Receiver(NotDelivered("410 Gone", final=True)))
    assert given_up(fleet) == 0
    assert carrier.deliver() == "410 Gone"
    assert carrier.deliver() is None
    assert given_up(fleet) == 2
    lifecycle.request_cancel(user, put(user))
    assert len(rows(fleet)) == 2
    assert hooks.hook_rows(fleet)[0].trouble.startswith("its receiver wants no more (410), since ")
    assert hooks.retry(fleet) == 2
    assert [carrier.deliver(), carrier.deliver(), carrier.deliver()] == ["", "", None]


def test_one_that_dies_between_the_sending_and_its_record_sends_the_same_id_again(fleet: Database, job: int) -> None:
    receiver = Receiver()

    def dies(event: Mapping[str, Any]) -> None:
        receiver(event)
        raise Killed

    delivery = HookDelivery("ops", dies)
    with pytest.raises(Killed):
        Outbox(fleet, {delivery.topic: delivery.deliver}).deliver()
    assert outbox(fleet, receiver).deliver() == ""
    assert len(receiver.told) == 2
    assert len(set(receiver.told)) == 1
    assert hooks.hook_rows(fleet)[0].delivered == 1


def test_what_waits_for_a_hook_that_is_no_longer_configured_is_given_up(fleet: Database, job: int) -> None:
    hooks.register(fleet, {"chat": ALL})
    assert [row.last_error for row in rows(fleet, "last_error")] == ["the hook is no longer configured"]
    assert [hook.name for hook in hooks.hook_rows(fleet)] == ["chat"]
    assert hooks.retry(fleet) == 0
    assert outbox(fleet, Receiver()).deliver() is None


# ── engines ───────────────────────────────────────────────────────────────────────────────────


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def worker(fleet: Database, name: str, host: str = "gpu-1", *, fault: str = "", seen: int = 0) -> None:
    lanes, closed = ("{}", "{gpu,check}") if fault else ("{gpu,check}", "{}")
    change(
        fleet,
        f"""INSERT INTO workers (name, host, pid, lanes, slots, version, closed_lanes, engine_fault, engine_fault_at,
                                 seen_at)
            VALUES ('{name}', '{host}', 1, '{lanes}', 2, '0', '{closed}', '{fault}',
                    CASE WHEN '{fault}' <> '' THEN now() END, now() - interval '{seen} s')
            ON CONFLICT (name) DO UPDATE SET lanes = EXCLUDED.lanes, closed_lanes = EXCLUDED.closed_lanes,
            engine_fault = EXCLUDED.engine_fault, engine_fault_at = EXCLUDED.engine_fault_at,
            seen_at = EXCLUDED.seen_at""",
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(fleet: Database, clock: Clock) -> EngineWatch:
    return EngineWatch(fleet, 120, clock)


def test_an_outage_that_lasts_is_told_once_and_its_end(fleet: Database, watch: EngineWatch, clock: Clock) -> None:
    worker(fleet, "a", fault="out of memory")
    watch.look()
    clock.now = 119
    watch.look()
    assert types(fleet) == []
    clock.now = 120
    watch.look()
    EngineWatch(fleet, 0, clock).look()  # another relay's
    watch.look()
    (row,) = rows(fleet)
    assert row.payload["type"] == "engine.down"
    told = row.payload["data"]
    assert (told["host"], told["reason"], told["lanes"]) == ("gpu-1", "out of memory", ["gpu"])
    assert told["since"]
    worker(fleet, "a")
    watch.look()
    watch.look()
    assert types(fleet) == ["engine.down", "engine.up"]


def test_a_first_start_is_no_outage_and_one_between_crashes_does_not_end_one(
    fleet: Database, watch: EngineWatch, clock: Clock
) -> None:
    worker(fleet, "a", fault=STARTING)
    watch.look()
    clock.now = 1000
    watch.look()
    assert types(fleet) == []
    for second in (1000, 1080):
        clock.now = second
        worker(fleet, "a", fault="out of memory")
        watch.look()
        clock.now = second + 60
        worker(fleet, "a", fault=STARTING)
        watch.look()
    (row,) = rows(fleet)
    assert (row.payload["type"], row.payload["data"]["reason"]) == ("engine.down", "out of memory")


def test_a_worker_that_went_silent_is_an_outage_unless_another_serves_its_host(
    fleet: Database, watch: EngineWatch, clock: Clock
) -> None:
    worker(fleet, "a", seen=60)
    worker(fleet, "b", host="gpu-2", seen=60)
    worker(fleet, "c", host="gpu-2")
    watch.look()
    clock.now = 120
    watch.look()
    (row,) = rows(fleet)
    assert (row.payload["data"]["host"], row.payload["data"]["reason"]) == ("gpu-1", "its worker went silent")
    change(fleet, "DELETE FROM workers WHERE host = 'gpu-1'")  # it signed off: nobody expects it
    watch.look()
    assert types(fleet) == ["engine.down"]
    with fleet.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM engine_outages")).scalar_one() == 0


def test_a_worker_of_checks_alone_has_no_engine(fleet: Database, watch: EngineWatch, clock: Clock) -> None:
    worker(fleet, "a", seen=60)
    change(fleet, "UPDATE workers SET lanes = '{check}'")
    watch.look()
    clock.now = 1000
    watch.look()
    assert types(fleet) == []
