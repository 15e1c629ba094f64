"""The Python client on a real Postgres: every method, wrong input, and streams that outlive a worker and a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from tasks.client import Client
from tasks.errors import DatabaseUnavailable, InvalidInput, NoSuchJob, NoSuchLesson
from tasks.store import dispatch, reaping
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.store.summaries import EventRow, JobSummary
from tasks.types import (
    Acceptance,
    Budget,
    Candidate,
    CandidateRef,
    Changes,
    CheckSpec,
    Claim,
    Draft,
    Egress,
    Iteration,
    JobSpec,
    JobState,
    Lane,
    Operator,
    Stop,
    StopCode,
)

pytestmark = pytest.mark.integration

SPEC = JobSpec(
    title="Six times seven",
    problem="What is 6 times 7?",
    checks=(CheckSpec(name="answer", kind="answer", value={"exact": "42"}),),
    budget=Budget(iterations=5, tokens=1000),
    memory=False,
    tags=("sums",),
)
FIELDS = {"problem": "What is 6 times 7?", "checks": [{"answer": 42}], "tags": ["sums"]}


@pytest.fixture
def eve(login: Callable[..., str]) -> Iterator[Client]:
    with Client(login("eve")) as client:
        yield client


class Worker:
    """Takes turns at jobs as a worker does, without a model."""

    def __init__(self, fleet: Database) -> None:
        self._fleet, self._ledger = fleet, PostgresLedger(fleet, fault_cap=3)

    def claim(self) -> Claim:
        claim = dispatch.claim(self._fleet, [Lane.GPU], "w", "turn", dispatch.ClaimRules(lease_seconds=600))
        assert claim is not None
        return claim

    def turn(self, number: int, answer: str, *, accepted: bool, claim: Claim | None = None) -> None:
        """One whole iteration, which ends the job where it is `accepted`; the lease is given back."""
        claim = claim or self.claim()
        ref = CandidateRef(iteration=number, slot=0)
        candidate = Candidate(
            ref=ref, operator=Operator.DRAFT, text=answer, root=ref, score=float(accepted), accepted=accepted
        )
        self._ledger.begin(claim, number, Draft(slots=1), ())
        self._ledger.commit_candidates(claim, number, [candidate])
        self._ledger.commit_verdicts(claim, candidate, done=True)
        stop = Stop(code=StopCode.ACCEPTED, detail="1.0", acceptance=Acceptance.VERIFIED)
        iteration = Iteration(number=number, operator=Operator.DRAFT, candidates=(candidate,))
        decision = stop if accepted else Draft(slots=1)
        self._ledger.record(claim, iteration, decision, lane=Lane.GPU, lesson_due=False)

    def solve(self) -> None:
        """A rejected iteration, then an accepted one."""
        self.turn(1, "ANSWER: 41", accepted=False)
        self.turn(2, "ANSWER: 42", accepted=True)

    def die(self) -> None:
        """The lease runs out, and the reaper finds it."""
        with self._fleet.begin() as connection:
            connection.execute(text("UPDATE leases SET lease_until = now() - interval '1 s'"))
        assert reaping.reap(self._fleet, crash_cap=3)


@pytest.fixture
def worker(fleet: Database) -> Worker:
    return Worker(fleet)


def submit(client: Client, **fields: object) -> int:
    [job] = client.submit({**FIELDS, **fields})
    return job.job


# ── submitting ────────────────────────────────────────────────────────────────────────────────


def test_a_job_file_a_mapping_and_a_spec_are_the_same_job(alice: Client, tmp_path: Path) -> None:
    path = tmp_path / "p.md"
    path.write_text("---\nchecks: [{answer: 42}]\ntags: [sums]\n---\nWhat is 6 times 7?\n")
    jobs = [alice.submit(source)[0] for source in (path, str(path), FIELDS)]
    specs = [alice.load(job).spec for job in jobs]
    assert specs[0] == specs[1] == specs[2]
    assert [job.new for job in jobs] == [True, True, True]
    assert alice.load(alice.submit(SPEC)[0]).spec == JobSpec(
        **{name: getattr(SPEC, name) for name in SPEC.__slots__ if name != "egress"}, egress=Egress.NEVER
    )


def test_several_jobs_are_stored_together_in_their_order_or_not_at_all(alice: Client, tmp_path: Path) -> None:
    (tmp_path / "check.txt").write_text("It is 42.")
    lines = tmp_path / "jobs.jsonl"
    lines.write_text('{"problem": "A", "checks": [{"answer": 1}]}\n{"problem": "B", "checks": [{"answer": 2}]}\n')
    mapping = {"problem": "C", "checks": [{"judge": "check.txt"}]}
    steps: list[tuple[str, int, int]] = []
    jobs = alice.submit([lines, mapping], folder=tmp_path, progress=lambda *step: steps.append(step))
    assert [alice.summary(job).title for job in jobs] == ["A", "B", "C"]
    assert steps[-1] == ("stored", 3, 3)
    with pytest.raises(InvalidInput, match=r"^jobs\[1\]: lane: 'tpu' is not allowed; one of gpu, fast"):
        alice.submit([FIELDS, {**FIELDS, "lane": "tpu"}])
    assert len(alice.list()) == 3


def test_a_key_gives_its_job_back(alice: Client) -> None:
    first, again = alice.submit({**FIELDS, "key": "k"})[0], alice.submit({**FIELDS, "key": "k"})[0]
    assert (first.new, again.new, first.job) == (True, False, again.job)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.md", "FILE: 'nowhere.md' is not allowed; it cannot be read"),
        ("-", "jobs: '-' is not allowed; the path of a job file"),
        ({"checks": [{"answer": 1}]}, r"jobs\[0\]: problem: None is not allowed; the problem's text"),
        ({"problem": "P"}, r"jobs\[0\]: checks: \[\] is not allowed; at least one check"),
        ({**FIELDS, "egress": "all"}, r"jobs\[0\]: egress: 'all' is not allowed; one of never, hint, full"),
        ([FIELDS, SPEC], "jobs: 'Six times seven' is not allowed; specs alone"),
    ],
)
def test_what_is_no_job_is_refused_in_one_line_and_nothing_is_stored(
    alice: Client, source: object, message: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{message}") as refused:
        alice.submit(source)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert alice.list() == ()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://a:secret@b/c", "postgresql://"])
def test_an_address_of_no_postgres_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"database URL: .*; postgresql://USER") as refused:
        Client(url)
    assert "secret" not in str(refused.value)


def test_a_database_that_is_not_there_is_an_error_at_once() -> None:
    with Client("postgresql://a:b@127.0.0.1:9/c") as client:
        for call in (client.list, lambda: client.submit(SPEC), lambda: client.wait(1), lambda: list(client.events(1))):
            with pytest.raises(DatabaseUnavailable, match="Postgres did not answer"):
                call()


# ── reading ───────────────────────────────────────────────────────────────────────────────────


def test_what_came_of_a_job_is_read(alice: Client, worker: Worker) -> None:
    job = submit(alice)
    assert alice.result(job) is None
    worker.turn(1, "ANSWER: 41", accepted=False)
    assert (alice.result(job), alice.summary(job).state) == ("ANSWER: 41", JobState.RUNNING)
    worker.turn(2, "ANSWER: 42", accepted=True)
    assert (alice.result(job), alice.summary(job).acceptance) == ("ANSWER: 42", Acceptance.VERIFIED)
    assert [(row.iteration, row.candidate) for row in alice.history(job)] == [(1, "ANSWER: 41"), (2, "ANSWER: 42")]
    assert alice.load(job).history[1].candidates[0].accepted
    assert alice.egress(job) == ()
    assert alice.cost() == ()  # no call was made
    assert alice.sql("SELECT job, state FROM job_summary").rows == ((job, "accepted"),)


def test_costs_are_added_up_by_what_is_asked_for(alice: Client, fleet: Database) -> None:
    job = submit(alice)
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text,
                    finish_reason, prompt_tokens, cached_tokens, completion_tokens, usd, seconds, worker, epoch)
                    VALUES (:job, 1, 'draft', 0, 1, 'm', '{}', 'h', 't', 'stop', 10, 4, 5, 0.01, 1, 'w', 1)"""),
            {"job": job},
        )
    assert [(row.of, row.prompt_tokens) for row in alice.cost()] == [(str(job), 10)]
    assert [row.of for row in alice.cost("model")] == ["m"]
    with pytest.raises(InvalidInput, match="by: 'week' is not allowed; one of job, owner, model, day"):
        alice.cost("week")


def test_lists_are_filtered_and_read_in_pages(alice: Client) -> None:
    jobs = [submit(alice, tags=[f"t{number % 2}"]) for number in range(5)]
    alice.cancel(jobs[0])
    assert [job.job for job in alice.list()] == jobs[::-1]
    assert [job.job for job in alice.list(limit=2, before=jobs[3])] == [jobs[2], jobs[1]]
    assert [job.job for job in alice.list(limit=2, oldest_first=True)] == jobs[:2]
    assert [job.job for job in alice.list(states=[JobState.CANCELLED])] == jobs[:1]
    assert [job.job for job in alice.pages(tags=["t0"])] == [jobs[4], jobs[2], jobs[0]]
    assert list(alice.pages(owner="eve")) == []


def test_workers_and_the_relay_are_seen(alice: Client, fleet: Database, login: Callable[..., str]) -> None:
    assert alice.workers() == ()
    with fleet.begin() as connection:
        values = "('w', 'h', 1, '{gpu}', 1, 'm', '0')"
        connection.execute(text(f"INSERT INTO workers (name, host, pid, lanes, slots, model, version) VALUES {values}"))
    assert [worker.name for worker in alice.workers()] == ["w"]
    assert not alice.relay_connected()
    with Client(login("alice"), name="redraft relay") as other:
        other.workers()  # connects
        assert alice.relay_connected()


# ── other owners' jobs, and numbers of none ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    "call",
    [
        Client.summary, Client.result, Client.history, Client.egress, Client.load, Client.cancel, Client.pause,
        Client.resume, Client.retry, Client.wait,
        lambda client, job: client.fork(job, 1),
        lambda client, job: list(client.events(job)),
        lambda client, job: list(client.changes(job)),
        lambda client, job: list(client.follow([job])),
    ],
)  # fmt: skip
def test_a_job_of_another_owner_and_one_that_is_not_there_are_the_same(
    alice: Client, eve: Client, call: Callable[[Client, int], object]
) -> None:
    job = submit(alice)
    for number in (job, 999_999):
        with pytest.raises(NoSuchJob, match=f"job {number}: there is no such job of yours"):
            call(eve, number)
    for number in (0, -1, 2**63):
        with pytest.raises(InvalidInput, match=f"job: {number} is not allowed"):
            call(eve, number)
    assert alice.summary(job).state is JobState.QUEUED


# ── following ─────────────────────────────────────────────────────────────────────────────────


def test_waiting_ends_with_the_last_job_and_keeps_the_order_of_its_arguments(alice: Client, worker: Worker) -> None:
    first, second = alice.submit([FIELDS, FIELDS])
    thread = threading.Thread(target=lambda: [worker.solve() for _ in range(2)])
    thread.start()
    summaries = alice.wait([second, first.job, second])
    thread.join()
    assert [job.job for job in summaries] == [second.job, first.job]
    assert {job.state for job in summaries} == {JobState.ACCEPTED}
    assert alice.wait([]) == ()


def test_waiting_ends_at_its_timeout_with_what_it_saw(alice: Client) -> None:
    job = submit(alice)
    assert [job.state for job in alice.wait(job, timeout=0.1)] == [JobState.QUEUED]
    assert [event.kind for event in alice.events(job, timeout=0)] == ["submitted"]


def test_events_come_in_order_and_end_with_the_final_one(alice: Client, worker: Worker) -> None:
    job = submit(alice)
    stream = alice.events(job)
    assert next(stream).kind == "submitted"
    alice.pause(job)
    assert next(stream).kind == "paused"
    alice.resume(job)
    worker.solve()
    rest = list(stream)
    assert [event.kind for event in rest] == ["resumed", "accepted"]
    assert (rest[-1].job, rest[-1].detail) == (job, "candidate 1.0 passed every check")
    assert list(alice.events(job, after=rest[0].number)) == rest[1:]
    assert list(alice.events(job, after=rest[-1].number)) == []


def test_changes_are_the_summaries_that_differ(alice: Client, worker: Worker) -> None:
    job = submit(alice)
    stream: Iterator[JobSummary] = alice.changes(job)
    assert (next(stream).state, next(alice.changes(job)).worker) == (JobState.QUEUED, None)
    claim = worker.claim()
    assert (claimed := next(stream)).worker == "w"
    assert claimed.state is JobState.RUNNING
    worker.turn(1, "ANSWER: 42", accepted=True, claim=claim)
    assert [change.state for change in stream] == [JobState.ACCEPTED]


def test_a_stream_goes_on_after_its_worker_s_death(alice: Client, worker: Worker) -> None:
    job = submit(alice)
    stream = alice.events(job)
    worker.claim()
    assert next(stream).kind == "submitted"
    worker.die()
    assert next(stream).kind == "lease expired"
    worker.solve()
    assert [event.kind for event in stream][-1] == "accepted"
    assert alice.summary(job).lost_work.crashes == 1


class Outage:
    """Postgres as it looks to one database's clients while it restarts: connections break, and none is let in."""

    def __init__(self, admin_url: str) -> None:
        address, self._name = admin_url.replace("+psycopg", "", 1).rsplit("/", 1)
        self._connection = psycopg.connect(f"{address}/postgres", autocommit=True)

    def begin(self) -> None:
        self._connection.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS false')  # type: ignore[arg-type]
        self._connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self._name,)
        )

    def end(self) -> None:
        self._connection.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS true')  # type: ignore[arg-type]

    def close(self) -> None:
        self.end()
        self._connection.close()


@pytest.fixture
def outage(admin_url: str) -> Iterator[Outage]:
    postgres = Outage(admin_url)
    yield postgres
    postgres.close()


def test_streams_outlive_a_database_that_is_away_for_a_moment(
    alice: Client, eve: Client, worker: Worker, outage: Outage
) -> None:
    job = submit(alice)
    events: list[EventRow] = []
    changes: list[JobSummary] = []
    begun = threading.Barrier(3)

    def read(stream: Iterator[Any], seen: list[Any]) -> None:
        seen.append(next(stream))
        begun.wait(30)
        seen.extend(stream)

    threads = [
        threading.Thread(target=read, args=(alice.events(job), events)),
        threading.Thread(target=read, args=(alice.changes(job), changes)),
    ]
    for thread in threads:
        thread.start()
    begun.wait(30)
    outage.begin()
    with pytest.raises(DatabaseUnavailable, match="Postgres"):
        eve.list()  # for those who follow nothing it is an error
    outage.end()
    worker.solve()
    for thread in threads:
        thread.join(60)
    assert [event.kind for event in events] == ["submitted", "accepted"]
    assert (changes[0].state, changes[-1].state) == (JobState.QUEUED, JobState.ACCEPTED)


def test_a_stream_whose_time_is_over_gives_a_lost_database_up(alice: Client, outage: Outage) -> None:
    stream = alice.events(submit(alice), timeout=0.5)
    assert next(stream).kind == "submitted"
    outage.begin()
    with pytest.raises(DatabaseUnavailable, match="Postgres"):
        list(stream)


# ── deciding ──────────────────────────────────────────────────────────────────────────────────


def test_a_waiting_job_is_paused_resumed_and_cancelled_at_once(alice: Client) -> None:
    job = submit(alice)
    assert [alice.pause(job), alice.resume(job), alice.cancel(job)] == [
        JobState.PAUSED, JobState.QUEUED, JobState.CANCELLED,
    ]  # fmt: skip
    assert [alice.pause(job), alice.resume(job), alice.cancel(job)] == [JobState.CANCELLED] * 3


def test_a_held_job_hears_of_it_and_stays_as_it_is(alice: Client, worker: Worker) -> None:
    job = submit(alice)
    worker.claim()
    assert (alice.pause(job), alice.cancel(job)) == (JobState.RUNNING, JobState.RUNNING)
    assert (alice.summary(job).pause_requested, alice.summary(job).cancel_requested) == (True, True)


def test_a_final_job_goes_on_and_one_under_way_does_not(alice: Client) -> None:
    job = submit(alice)
    with pytest.raises(InvalidInput, match="only a finished job is tried again"):
        alice.retry(job)
    alice.cancel(job)
    assert alice.retry(job, Changes(iterations=99)) is JobState.QUEUED
    assert alice.summary(job).budget.iterations == 99


def test_a_fork_begins_with_what_is_recorded(alice: Client, worker: Worker) -> None:
    job = submit(alice)
    worker.turn(1, "ANSWER: 41", accepted=False)
    new = alice.fork(job, 1, Changes(strategy="single", seed=7))
    assert [row.candidate for row in alice.history(new)] == ["ANSWER: 41"]
    assert (alice.load(new).spec.strategy, alice.load(new).spec.seed) == ("single", 7)
    with pytest.raises(InvalidInput, match="a recorded iteration of job"):
        alice.fork(job, 2)


# ── lessons ───────────────────────────────────────────────────────────────────────────────────


def test_lessons_are_read_and_quarantined_by_their_owner(alice: Client, eve: Client, fleet: Database) -> None:
    job = submit(alice)
    with fleet.begin() as connection:
        lesson = connection.execute(
            text("""INSERT INTO lessons (job_id, owner, kind, situation, advice, avoid, evidence)
                    VALUES (:job, 'alice', 'success', 'sums', 'add', '', 'answer') RETURNING id"""),
            {"job": job},
        ).scalar_one()
    assert (alice.reader().owner, alice.reader().everybody) == ("alice", False)
    assert alice.lesson(lesson).lesson.advice == "add"
    assert [row.lesson.id for row in alice.lessons([lesson, 99])] == [lesson]
    assert [row.id for row in alice.indexed_lessons()] == [lesson]
    assert list(eve.indexed_lessons()) == []
    for call in (eve.lesson, eve.quarantine):
        with pytest.raises(NoSuchLesson, match=f"lesson {lesson}: there is no such lesson of yours"):
            call(lesson)
    assert alice.quarantine(lesson) == alice.lesson(lesson).quarantined_at
    assert list(alice.indexed_lessons()) == []
