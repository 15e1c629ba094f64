"""The outbox: carried at least once, later after each failure, and harmless when it is carried twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tasks.errors import MemoryUnavailable
from tasks.memory.embedder import Embedder
from tasks.memory.twin import InMemoryBank
from tasks.store import lesson_queries
from tasks.store.lesson_queries import REMOVE, IndexDelivery
from tasks.store.lesson_writes import UPSERT
from tasks.store.outbox import Outbox
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec
from tests.doubles import Killed

pytestmark = pytest.mark.integration
MODEL = Embedder()


@pytest.fixture
def job(user: Database) -> int:
    check = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
    return submit_jobs(user, [JobSpec(title="t", problem="p", checks=(check,))])[0].job


def put(fleet: Database, job: int, topic: str, **payload: Any) -> int:
    with fleet.begin() as connection:
        row = connection.execute(
            text("INSERT INTO outbox (job_id, topic, payload) VALUES (:j, :t, CAST(:p AS jsonb)) RETURNING id"),
            {"j": job, "t": topic, "p": json.dumps(payload)},
        )
        return int(row.scalar_one())


def teach(fleet: Database, job: int, situation: str = "counting vowels in a text", kind: str = "success") -> int:
    """A lesson with its row in the outbox."""
    with fleet.begin() as connection:
        made = connection.execute(
            text("""INSERT INTO lessons (job_id, owner, family, kind, situation, advice, avoid, evidence)
                    SELECT id, owner, 'answer', :kind, :situation, 'lower-case it first', '', 'job' FROM jobs
                    WHERE id = :job RETURNING id"""),
            {"job": job, "situation": situation, "kind": kind},
        ).scalar_one()
    put(fleet, job, UPSERT, lesson=made)
    return int(made)


def row(fleet: Database, number: int) -> Any:
    with fleet.connect() as connection:
        return connection.execute(
            text("SELECT *, deliver_at - now() AS pause FROM outbox WHERE id = :n"), {"n": number}
        ).one()


def at_once(fleet: Database) -> None:
    with fleet.begin() as connection:  # nobody waits in a test
        connection.execute(text("UPDATE outbox SET deliver_at = now()"))


def carry(fleet: Database, bank: InMemoryBank) -> None:
    delivery = IndexDelivery(bank)
    outbox = Outbox(fleet, {UPSERT: delivery.upsert, REMOVE: delivery.remove})
    while (failed := outbox.deliver()) is not None:
        assert failed == ""


# ── any topic ─────────────────────────────────────────────────────────────────────────────────


def test_each_row_is_carried_once_in_its_order(fleet: Database, job: int) -> None:
    seen: list[int] = []
    for n in range(3):
        put(fleet, job, "topic", n=n)
    outbox = Outbox(fleet, {"topic": lambda _, payload: seen.append(payload["n"])})
    assert [outbox.deliver() for _ in range(4)] == ["", "", "", None]
    assert seen == [0, 1, 2]


def test_a_topic_that_nobody_carries_waits(fleet: Database, job: int) -> None:
    number = put(fleet, job, "another")
    assert Outbox(fleet, {"topic": lambda *_: None}).deliver() is None
    assert row(fleet, number).delivered_at is None


def test_a_carrier_that_dies_after_the_effect_leaves_the_row_for_another(fleet: Database, job: int) -> None:
    seen: list[int] = []
    number = put(fleet, job, "topic", n=1)

    def dies(_: Connection, payload: Mapping[str, Any]) -> None:
        seen.append(payload["n"])
        raise Killed

    with pytest.raises(Killed):
        Outbox(fleet, {"topic": dies}).deliver()
    assert (row(fleet, number).attempts, row(fleet, number).delivered_at) == (0, None)
    assert Outbox(fleet, {"topic": lambda _, payload: seen.append(payload["n"])}).deliver() == ""
    assert seen == [1, 1]


def test_a_failure_is_kept_and_the_next_try_comes_later_each_time(fleet: Database, job: int) -> None:
    number = put(fleet, job, "topic")

    def fails(connection: Connection, _: Mapping[str, Any]) -> None:
        connection.execute(text("UPDATE jobs SET title = 'half done'"))
        raise MemoryUnavailable("away")

    outbox, pauses = Outbox(fleet, {"topic": fails}), []
    for attempt in (1, 2, 3):
        at_once(fleet)
        assert outbox.deliver() == "MemoryUnavailable: away"
        assert outbox.deliver() is None  # it waits
        found = row(fleet, number)
        assert (found.attempts, found.last_error, found.delivered_at) == (attempt, "MemoryUnavailable: away", None)
        pauses.append(found.pause)
    assert pauses[0] < pauses[1] < pauses[2]
    with fleet.connect() as connection:
        assert connection.execute(text("SELECT title FROM jobs")).scalar_one() == "t"


def test_one_that_cannot_be_carried_holds_up_no_other(fleet: Database, job: int) -> None:
    seen: list[int] = []
    put(fleet, job, "topic")
    put(fleet, job, "topic", n=1)
    outbox = Outbox(fleet, {"topic": lambda _, payload: seen.append(payload["n"])})
    assert outbox.deliver() == "KeyError: 'n'"
    assert outbox.deliver() == ""
    assert seen == [1]


def test_a_row_that_another_carries_is_left_to_it(fleet: Database, job: int) -> None:
    put(fleet, job, "topic")
    outbox = Outbox(fleet, {"topic": lambda *_: None})
    nested: list[str | None] = []
    assert Outbox(fleet, {"topic": lambda *_: nested.append(outbox.deliver())}).deliver() == ""
    assert nested == [None]


# ── the memory's topics ───────────────────────────────────────────────────────────────────────


def test_a_lesson_reaches_the_index_whole(fleet: Database, job: int) -> None:
    bank, number = InMemoryBank(MODEL), teach(fleet, job)
    carry(fleet, bank)
    (found,) = bank.search("alice", "vowels")
    assert (found.lesson.id, found.lesson.job, found.lesson.family) == (number, job, "answer")


def test_a_near_duplicate_counts_for_the_earlier_lesson_once(fleet: Database, job: int) -> None:
    bank = InMemoryBank(MODEL)
    earlier, later = teach(fleet, job), teach(fleet, job, "counting the vowels in a text")
    other, failure = teach(fleet, job, "the mean of a list"), teach(fleet, job, kind="failure")
    carry(fleet, bank)
    put(fleet, job, UPSERT, lesson=later)  # delivered twice
    put(fleet, job, UPSERT, lesson=earlier)
    carry(fleet, bank)
    assert bank.count() == 3
    seen = {r.lesson.id: (r.seen, r.duplicate_of) for r in lesson_queries.read_lessons(fleet, [earlier, later, other])}
    assert seen == {earlier: (2, None), later: (1, earlier), other: (1, None)}
    assert [lesson.id for lesson in lesson_queries.indexed(fleet)] == [earlier, other, failure]


def test_a_carrier_that_dies_between_counts_a_duplicate_once(fleet: Database, job: int) -> None:
    bank = InMemoryBank(MODEL)
    earlier, later = teach(fleet, job), teach(fleet, job)
    delivery = IndexDelivery(bank)
    assert Outbox(fleet, {UPSERT: delivery.upsert}).deliver() == ""

    def dies(connection: Connection, payload: Mapping[str, Any]) -> None:
        delivery.upsert(connection, payload)
        raise Killed

    with pytest.raises(Killed):
        Outbox(fleet, {UPSERT: dies}).deliver()
    carry(fleet, bank)
    assert lesson_queries.read_lesson(fleet, earlier).seen == 2
    assert lesson_queries.read_lesson(fleet, later).duplicate_of == earlier


def test_a_quarantined_lesson_leaves_the_index_though_its_upsert_comes_late(
    user: Database, fleet: Database, job: int
) -> None:
    bank, number = InMemoryBank(MODEL), teach(fleet, job)
    carry(fleet, bank)
    since = lesson_queries.quarantine(user, number)
    assert lesson_queries.quarantine(user, number) == since
    carry(fleet, bank)
    assert bank.count() == 0
    put(fleet, job, UPSERT, lesson=number)
    carry(fleet, bank)
    assert bank.count() == 0
    assert list(lesson_queries.indexed(fleet)) == []
