"""Which job a claim takes, from a queue of any length: its order against a plain sort, its plans, and many at once."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text

from tasks.store import dispatch, leases, queries, reaping, submissions
from tasks.store.outbox import Outbox
from tasks.store.session import Database
from tasks.types import CheckSpec, JobSpec, Lane

pytestmark = pytest.mark.integration
OPS = Path(__file__).parents[3] / "ops"
RULES = dispatch.ClaimRules(affinity_seconds=1)
AGEING, BUCKET = dispatch.AGEING_SECONDS, RULES.bucket_seconds
SPEC = JobSpec(title="t", problem="p", checks=(CheckSpec(name="answer", kind="answer", value={"exact": "1"}),))
# What grows with every job that was ever run.
LARGE = {"jobs", "leases", "iterations", "candidates", "events", "outbox"}


@pytest.fixture
def fleet(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("fleet", "redraft_worker"), pool=8) as database:
        yield database


@pytest.fixture
def admin(admin_url: str) -> Iterator[Database]:
    with Database(admin_url) as database:
        yield database


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job in the queue; `points` are its priority with what its waiting for `since` seconds has added."""

    job: int
    owner: str
    priority: int
    since: float
    last_worker: str | None
    interrupted: bool

    @property
    def points(self) -> float:
        return self.priority + self.since / AGEING


def queue(admin: Database, chance: random.Random, jobs: int) -> list[Waiting]:
    """A queue at random; no job is about to gain a point while the test runs."""
    owners, made = ["ann", "bob", "cy", "dee"], []
    with admin.begin() as connection:
        for owner in owners:
            used = chance.choice([0, 100, 700, 5000])
            usage = "INSERT INTO owner_usage VALUES (:owner, date_trunc('hour', now()), :used)"
            connection.execute(text(usage), {"owner": owner, "used": used})
        for _ in range(jobs):
            waits = AGEING * chance.randrange(3) + chance.uniform(60, AGEING - 600)
            given = {
                "owner": chance.choice(owners),
                "priority": chance.choice([-1, 0, 0, 0, 1, 3]),
                "since": waits,
                "last_worker": chance.choice([None, "w0", "w1"]),
                "interrupted": chance.random() < 0.05,
            }
            job = connection.execute(
                text("""INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, priority,
                        budget_usd, budget_hours, budget_iterations, budget_tokens)
                        VALUES (:owner, 'h', 't', 'p', '[{"kind": "answer", "name": "answer", "value": 1}]', 'correct',
                                'gpu', 'full', :priority, 1, 1, 1, 1)
                        RETURNING id"""),
                given,
            ).scalar_one()
            connection.execute(
                text("""UPDATE leases SET waiting_since = now() - make_interval(secs => :since),
                        last_worker = :last_worker, interrupted = :interrupted WHERE job_id = :job"""),
                {**given, "job": job},
            )
            made.append(Waiting(job=job, **given))
    return made


def chosen(waiting: list[Waiting], used: dict[str, float], worker: str) -> int:
    """The job that is documented to be claimed: a sort of the whole queue."""
    if first := [w for w in waiting if w.interrupted]:
        return min(first, key=lambda w: (-w.points, w.job)).job
    most = max(w.priority for w in waiting)
    head = {owner: max(w.points for w in waiting if w.owner == owner) for owner in {w.owner for w in waiting}}
    level = {owner: min(most, math.floor(points)) for owner, points in head.items()}
    ready = [w for w in waiting if min(most, math.floor(w.points)) == level[w.owner]]
    return min(
        ready,
        key=lambda w: (-level[w.owner], used[w.owner] // BUCKET, w.last_worker != worker, -head[w.owner], w.job),
    ).job


@pytest.mark.parametrize("seed", range(5))
def test_a_queue_is_claimed_in_the_documented_order(admin: Database, fleet: Database, seed: int) -> None:
    chance = random.Random(seed)
    waiting = queue(admin, chance, 60)
    with admin.connect() as connection:
        rows = connection.execute(text("SELECT owner, sum(engine_seconds) AS used FROM owner_usage GROUP BY owner"))
        used = {row.owner: row.used for row in rows}
    while waiting:
        worker = chance.choice(["w0", "w1", "w2"])
        claim = dispatch.claim(fleet, [Lane.GPU], worker, "turn", RULES)
        assert claim is not None
        assert claim.job == chosen(waiting, used, worker)
        waiting = [w for w in waiting if w.job != claim.job]
    assert dispatch.claim(fleet, [Lane.GPU], "w0", "turn", RULES) is None


def wait(admin: Database, seconds: float) -> None:
    with admin.begin() as connection:
        connection.execute(
            text(
                "UPDATE leases SET waiting_since = now() - make_interval(secs => :s) WHERE waiting_since > now() - "
                "interval '1 min'"
            ),
            {"s": seconds},
        )


def test_an_owner_whose_many_jobs_have_waited_long_goes_after_one_who_has_used_less(
    admin: Database, fleet: Database, login: Callable[..., str]
) -> None:
    with Database(login("ann")) as ann, Database(login("bob")) as bob:
        submissions.submit_jobs(ann, [SPEC] * 3)
        wait(admin, 10 * AGEING)
        (bobs,) = submissions.submit_jobs(bob, [SPEC])
    with admin.begin() as connection:
        connection.execute(text("INSERT INTO owner_usage VALUES ('ann', date_trunc('hour', now()), 2000)"))
    claim = dispatch.claim(fleet, [Lane.GPU], "w", "turn", RULES)
    assert claim is not None
    assert claim.job == bobs.job


def test_a_job_that_has_waited_long_enough_goes_before_more_urgent_ones(
    admin: Database, fleet: Database, login: Callable[..., str]
) -> None:
    with Database(login("ann")) as ann:
        (patient,) = submissions.submit_jobs(ann, [SPEC])
        wait(admin, 4.9 * AGEING)
        (urgent,) = submissions.submit_jobs(ann, [dataclasses.replace(SPEC, priority=5)])
        first = dispatch.claim(fleet, [Lane.GPU], "w", "turn", RULES)
        submissions.submit_jobs(ann, [dataclasses.replace(SPEC, priority=5)])
    with admin.begin() as connection:
        later = "UPDATE leases SET waiting_since = waiting_since - make_interval(secs => :s) WHERE job_id = :job"
        connection.execute(text(later), {"s": 0.2 * AGEING, "job": patient.job})
    second = dispatch.claim(fleet, [Lane.GPU], "w", "turn", RULES)
    assert first is not None
    assert second is not None
    assert (first.job, second.job) == (urgent.job, patient.job)


def test_workers_that_claim_at_once_take_each_job_once_and_miss_none(
    login: Callable[..., str], fleet: Database
) -> None:
    made = []
    for owner in ("ann", "bob"):
        with Database(login(owner)) as user:
            made += [one.job for one in submissions.submit_jobs(user, [SPEC] * 100)]

    def drain(worker: int) -> list[int]:
        turns = (dispatch.claim(fleet, [Lane.GPU], f"w{worker}", f"t{worker}", RULES) for _ in itertools.count())
        return [claim.job for claim in itertools.takewhile(lambda claim: claim is not None, turns) if claim]

    with ThreadPoolExecutor(8) as pool:
        taken = [job for jobs in pool.map(drain, range(8)) for job in jobs]
    assert Counter(taken) == Counter(made)


def test_of_hand_backs_at_once_one_wakes_the_relay_and_none_waits_for_another_owners(
    login: Callable[..., str], fleet: Database
) -> None:
    """Those of one owner add to one row of what that owner used, and wait for each other's commit."""
    for owner in ("ann", "ben", "cyd"):
        with Database(login(owner)) as database:
            submissions.submit_jobs(database, [SPEC])
    held = [claim for number in range(3) if (claim := dispatch.claim(fleet, [Lane.GPU], f"w{number}", "turn", RULES))]
    plain = login("fleet", "redraft_worker").replace("+psycopg", "", 1)
    with psycopg.connect(plain, autocommit=True) as relay:
        relay.execute("LISTEN redraft_wake")

        def woken() -> int:
            return len(list(relay.notifies(timeout=0.3)))

        with fleet.begin() as first:
            leases.release(first, held[0], Lane.GPU)
            with fleet.begin() as second:
                leases.release(second, held[1], Lane.GPU)
            assert woken() == 0
        assert woken() == 1
        with fleet.begin() as third:
            leases.release(third, held[2], Lane.GPU)
        assert woken() == 1


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads from end to end."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for inner in plan.get("Plans", ()):
        yield from scans(inner)


def test_neither_dispatch_nor_a_look_at_one_job_reads_a_large_table_from_end_to_end(
    admin_url: str, admin: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(OPS))
    volume = importlib.import_module("dispatch.volume")
    volume.fill(admin_url, volume.Volume(queued=2000, past_iterations=50_000))
    with admin.begin() as connection:
        job = connection.execute(text("SELECT min(job_id) FROM leases WHERE worker IS NOT NULL")).scalar_one()
        connection.execute(text("UPDATE leases SET lease_until = now() WHERE job_id = :job"), {"job": job})
    said: list[tuple[str, Any]] = []
    event.listen(admin.engine, "before_cursor_execute", lambda *given: said.append((given[2], given[3])))
    assert reaping.reap(admin, crash_cap=3) == (job,)
    held = dispatch.claim(admin, [Lane.GPU], "worker1", "turn", RULES)
    assert held is not None
    with admin.begin() as connection:
        leases.fence(connection, held)
        leases.release(connection, held, Lane.GPU)
    assert dispatch.demand(admin, [str(lane) for lane in Lane])[0].runnable > 1000
    assert Outbox(admin, {"memory.upsert": lambda connection, payload: None}).deliver() == ""
    queries.job_summary(admin, 1)
    assert len(queries.job_history(admin, 1)) == 10
    looked_at = [(query, given) for query, given in said if query.lstrip().startswith(("SELECT", "WITH", "UPDATE"))]
    assert len(looked_at) > 12
    for query, given in looked_at:
        with admin.connect() as connection:
            plan = connection.exec_driver_sql("EXPLAIN (FORMAT JSON) " + query, given).scalar_one()[0]["Plan"]
        assert not LARGE & set(scans(plan)), query
