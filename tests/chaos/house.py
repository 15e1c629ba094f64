"""Whole runs that a crash point may cut: a job from its submission to its lesson in the memory, and an upgrade of the
schema. A lease is of one second, which is not waited for but taken off."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import text

from tasks.crashpoints import CrashPoint, armed
from tasks.escalation import Escalation
from tasks.heartbeat import SilentHeartbeat
from tasks.lesson_service import MemoryLessonService
from tasks.llm.prices import prices_of
from tasks.llm.responsebody import CloudTerms
from tasks.llm.responses import OpenAIResponses
from tasks.llm.scripted import ScriptedModel
from tasks.memory.embedder import Embedder
from tasks.memory.twin import InMemoryBank
from tasks.sampling import Sampling
from tasks.store import dispatch, migrate, questions, reaping
from tasks.store.escalations import PostgresEscalations
from tasks.store.hints import advise
from tasks.store.ledger import PostgresLedger
from tasks.store.lesson_queries import StoredRecords, read_lesson
from tasks.store.outbox import Outbox
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import BatchBudget, ChatRequest, CheckSpec, Claim, Egress, HelpRules, JobSpec, Lane
from tests.advisers import one_api
from tests.chaos.crashes import Fatal, Passing, job_rows, schema_lines
from tests.doubles import ExecutedChecks, Killed
from tests.loops import corrected, skip_pauses, twin_loop
from workers.local.postgres import EmbeddedPostgres
from workers.outbox_worker import memory_handlers

CHECKS = (
    CheckSpec(name="answer", kind="answer", value={"exact": "42"}),
    CheckSpec(name="answer#2", kind="answer", value={"regex": "[0-9]+"}, held_out=True),
)
EXAMPLE = CheckSpec(name="python:t.py", kind="python", value="double(1) == 2")
FORM = CheckSpec(name="answer", kind="answer", value={"regex": "[0-9]+"})
# All pass the example, and the first two are wrong.
PROGRAMS = ("x + 1", "x ** 2 + 1", "2 * x", "x * 2", "x + x", "x << 1")
LESSON = "WHEN: multiplying two small numbers\nDO: add the one number as often as the other says\nAVOID: guessing"
OLD, NEW = Sampling(answer_tokens=48, review_tokens=16), Sampling(answer_tokens=64, review_tokens=32)
LAST_OF_OLD: Passing = (CrashPoint.CALL_COMMITTED, 3)  # a draft, a review, a revision
RULES = dispatch.ClaimRules(affinity_seconds=0, lease_seconds=1.0)
# More deaths in a row than any job here suffers: quarantine has tests of its own.
CRASH_CAP = 100

Outcome = dict[str, Any]


def answer(request: ChatRequest) -> str:
    """Right at the second revision only; asked for a lesson, it gives one."""
    return LESSON if "WHEN:" in request.messages[-1].content else corrected(request)


def stubborn(request: ChatRequest) -> str:
    """The same wrong answer again and again, unless it was advised; asked for a lesson, it gives one."""
    prompt = request.messages[-1].content
    if "WHEN:" in prompt:
        return LESSON
    return "ANSWER: 42" if "# Advice" in prompt else "ANSWER: 7"


def program(request: ChatRequest) -> str:
    """One of the programs, by the seed; calls to compare them with; or a lesson."""
    prompt = request.messages[-1].content
    if "WHEN:" in prompt:
        return LESSON
    if "Write the calls now" in prompt:
        return "double(0)\ndouble(5)"
    return f"def double(x):\n    return {PROGRAMS[request.seed % len(PROGRAMS)]}"


def number(request: ChatRequest) -> str:
    """A wrong number, by the seed, but the right one where several answers are made into one; or a lesson."""
    prompt = request.messages[-1].content
    if "WHEN:" in prompt:
        return LESSON
    return "ANSWER: 42" if "Compare them" in prompt else f"ANSWER: {request.seed % 40}"


def grown(request: ChatRequest) -> str:
    """A wrong number after a long text; edits of it, of which the first of a parent applies; and the right one where
    a whole answer is changed; or a lesson."""
    prompt = request.messages[-1].content
    if "WHEN:" in prompt:
        return LESSON
    if "<<<<<<< SEARCH" in prompt:
        (old, *_) = re.findall(r"^ANSWER: \d+$", prompt, re.MULTILINE)
        search = old if "Change 1 " in prompt else "ANSWER: none"
        return f"<<<<<<< SEARCH\n{search}\n=======\nANSWER: {request.seed % 40}\n>>>>>>> REPLACE"
    text = "\n".join(hashlib.sha256(str(line).encode()).hexdigest() for line in range(30))
    return f"{text}\nANSWER: {42 if 'Change ' in prompt else request.seed % 40}"


def advised(request: ChatRequest) -> str:
    """Right where the advice says it; or a lesson."""
    prompt = request.messages[-1].content
    if "WHEN:" in prompt:
        return LESSON
    return f"ANSWER: {42 if 'Six sevens are forty-two.' in prompt else 40}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a house's jobs are: solved by `strategy`, with `answer` for a model; `checked_by` stands for a sandbox."""

    strategy: str
    problem: str
    checks: tuple[CheckSpec, ...]
    answer: Callable[[ChatRequest], str]
    checked_by: ExecutedChecks | None = None
    sampling: Sampling = NEW
    hints: tuple[tuple[int, str], ...] = ()  # each with how many iterations are recorded before it is given
    answers: tuple[str, ...] = ()  # to its questions in their order; an empty one never comes
    start: str = ""


SUM = Work(strategy="correct", problem="What is six times seven?", checks=CHECKS, answer=answer)
# Begins with an answer that is wrong, and corrects it.
BEGUN = Work(
    strategy="correct",
    problem="What is six times seven?",
    checks=CHECKS,
    answer=answer,
    start="I guess it is\nANSWER: 7",
)
STUCK = Work(strategy="correct", problem="What is six times seven?", checks=CHECKS, answer=stubborn)
DOUBLE = Work(strategy="ladder", problem="Double it.", checks=(EXAMPLE,), answer=program, checked_by=ExecutedChecks())

# Repaired, redrafted by another plan, aggregated; and aggregated to the end, then synthesised.
CLIMB = Work(strategy="ladder", problem="What is six times seven?", checks=CHECKS[:1], answer=number)
# Edited, of which some are refused, and where all are written again whole.
EVOLVE = Work(
    strategy="evolve",
    problem="What is six times seven?",
    checks=CHECKS[:1],
    answer=grown,
    sampling=Sampling(answer_tokens=1024, review_tokens=32),
)
MERGE = Work(strategy="aggregate", problem="Name a number.", checks=(FORM,), answer=number)
HINTS = ((0, "Count on your fingers."), (1, "Six sevens are forty-two."))
# Advised before the first iteration and between two; and once it was given up, so that it goes on.
HEEDING = Work(strategy="correct", problem="What is six times seven?", checks=CHECKS, answer=advised, hints=HINTS)
# Asks, and is answered; and asks and is not answered, so that it is given up until a hint comes.
ASKING = Work(
    strategy="single",
    problem="What is six times seven?",
    checks=CHECKS,
    answer=advised,
    answers=("Which sevens?", HINTS[1][1]),
)
UNANSWERED = Work(
    strategy="single",
    problem="What is six times seven?",
    checks=CHECKS,
    answer=advised,
    hints=((3, HINTS[1][1]),),
    answers=(HINTS[0][1], ""),
)
REOPENED = Work(strategy="single", problem="What is six times seven?", checks=CHECKS, answer=advised, hints=HINTS)


class House:
    """Solves one job after another, each from the submission to its lesson in the memory, and dies where it is told.

    Parameters: after `escalate_after` rejected iterations the cloud is asked, for so many `hints` first, which answers
    at `url`; `known` is the lesson that the memory holds before; `broken` spoils the ledger, for a test of the tests;
    `work` is what the jobs are, and with a `pool` each is a batch of one. Where `changed`, a worker with another model
    has left each job in the middle of a revision.
    """

    def __init__(
        self,
        user: Database,
        fleet: Database,
        *,
        escalate_after: int,
        url: str,
        known: int | None,
        changed: bool = False,
        broken: Callable[[PostgresLedger], Any] = lambda ledger: ledger,
        pool: BatchBudget | None = None,
        work: Work = SUM,
        hints: int = 0,
    ) -> None:
        self._help = HelpRules(hints=hints, hint_iterations=2)
        self._work = work
        self._user, self._fleet, self._escalate_after, self._known = user, fleet, escalate_after, known
        self._changed, self._broken, self._pool = changed, broken, pool
        self._sampling, self._width = work.sampling, 1 if changed else 2
        self._cloud = OpenAIResponses(
            base_url=url, api_key="sk-test", first_event_seconds=20, answer_seconds=60, pauses=(0.02, 0.05)
        )
        self._embedder = Embedder()

    def run(self, fatal: Fatal) -> Outcome:
        """One job to its end, with a worker for each lane, and the outbox; what it came to."""
        bank, before = InMemoryBank(self._embedder), self._counted()
        if self._known is not None:
            bank.upsert(read_lesson(self._fleet, self._known).lesson)
        egress = Egress.FULL if self._escalate_after < 3 else Egress.NEVER
        work = self._work
        spec = JobSpec(
            title="t",
            problem=work.problem,
            checks=work.checks,
            strategy=work.strategy,
            egress=egress,
            seed=11,
            ask=bool(work.answers),
            start=work.start,
        )
        job = submit_jobs(self._user, [spec], egress=egress, pool=self._pool)[0].job
        outbox = Outbox(self._fleet, memory_handlers(bank))
        if self._changed:
            self._leave(job, bank)
        with armed(fatal):
            while self._assist(job) or self._busy(job):
                self._take_turns(bank)
            while self._survive(outbox.deliver) is not None:
                pass
        with self._fleet.connect() as connection:
            rows = job_rows(connection, job)
            mine = set(connection.execute(text("SELECT id FROM lessons WHERE job_id = :job"), {"job": job}).scalars())
        known = {match.lesson.id for match in bank.search("alice", LESSON)}
        counted = [now - then for now, then in zip(self._counted(), before, strict=True)]
        memory = {"points": bank.count(), "holds its lesson": mine <= known, "seen, helped, hurt": counted}
        return {**rows, "memory": memory, "batch": self._spent(job)}

    def _spent(self, job: int) -> list[tuple[Any, ...]]:
        """What the job's batch has used, if it is of one."""
        columns = "b.tokens, b.usd, b.started_at IS NULL"
        query = text(f"SELECT {columns} FROM batches b JOIN jobs j ON j.batch_id = b.id WHERE j.id = :job")
        with self._fleet.connect() as connection:
            return [tuple(row) for row in connection.execute(query, {"job": job})]

    def _assist(self, job: int) -> bool:
        """Gives the hint or the answer whose time has come, and says whether there was one."""
        query = text("""SELECT j.iterations, j.state = 'needs_input' AS asks,
                               (SELECT count(*) FROM hints h WHERE h.job_id = j.id AND h.question = '') AS hints,
                               (SELECT count(*) FROM questions q WHERE q.job_id = j.id) AS questions
                        FROM jobs j WHERE j.id = :job""")
        with self._fleet.connect() as connection:
            now = connection.execute(query, {"job": job}).one()
        due = [hint for after, hint in self._work.hints[now.hints :] if after <= now.iterations]
        if due and not now.asks:
            advise(self._user, job, due[0])
        elif now.asks:
            self._answer(job, self._work.answers[now.questions - 1])
        return now.asks or bool(due)

    def _answer(self, job: int, said: str) -> None:
        """An empty answer is the end of the question's time."""
        if said:
            questions.answer(self._user, job, said)
            return
        with self._fleet.begin() as connection:
            connection.execute(
                text("UPDATE questions SET answer_until = now() - interval '1 s' WHERE job_id = :job"), {"job": job}
            )
        questions.give_up(self._fleet)

    def _leave(self, job: int, bank: InMemoryBank) -> None:
        """The older worker works until it is killed, in the second iteration, with calls on which one is built."""
        self._sampling, last = OLD, Fatal(LAST_OF_OLD)
        with armed(last):
            while not last.deaths:
                assert self._busy(job), "it ended before"
                self._take_turns(bank)
        self._sampling = NEW

    def _take_turns(self, bank: InMemoryBank) -> None:
        """One turn on each lane; what waits for its provider has waited."""
        skip_pauses(self._fleet)
        for lane in (Lane.GPU, Lane.CHECK, Lane.CLOUD):
            self._survive(lambda lane=lane: self._take_turn(lane, bank))  # type: ignore[misc]

    def _survive(self, step: Callable[[], str | None]) -> str | None:
        """What the step gives back; where it is killed, the lease's second passes and the reaper looks."""
        try:
            return step()
        except Killed:
            with self._fleet.begin() as connection:
                connection.execute(text("UPDATE leases SET lease_until = lease_until - interval '1 s'"))
            reaping.reap(self._fleet, crash_cap=CRASH_CAP)
            return ""

    def _take_turn(self, lane: Lane, bank: InMemoryBank) -> None:
        claim = dispatch.claim(self._fleet, [lane], f"w-{lane}", "turn", RULES)
        if claim is not None:
            self._turn(claim, lane, bank)

    def _turn(self, claim: Claim, lane: Lane, bank: InMemoryBank) -> None:
        twin_loop(
            self._broken(PostgresLedger(self._fleet, fault_cap=3)),
            ScriptedModel(self._work.answer, context_tokens=8192),
            checks=self._work.checked_by,
            lesson_service=lambda model: MemoryLessonService(
                bank=bank, model=model, records=StoredRecords(self._fleet)
            ),
            cloud=Escalation(
                ledger=PostgresEscalations(self._fleet),
                advisers=one_api(
                    self._cloud,
                    CloudTerms(model="gpt-5.4", effort="high", output_tokens=4096),
                    CloudTerms(model="gpt-5.4", effort="low", output_tokens=1024),
                    prices_of("gpt-5.4"),
                ),
                fault_cap=3,
            ),
            escalate_after=self._escalate_after,
            help=self._help,
            sampling=self._sampling,
            width=self._width,
        ).turn(claim, frozenset({lane}), SilentHeartbeat())

    def _busy(self, job: int) -> bool:
        query = text("SELECT runnable OR worker IS NOT NULL FROM leases WHERE job_id = :job")
        with self._fleet.connect() as connection:
            return bool(connection.execute(query, {"job": job}).scalar_one())

    def _counted(self) -> tuple[int, ...]:
        if self._known is None:
            return ()
        known = read_lesson(self._fleet, self._known)
        return known.seen, known.helped, known.hurt


class Upgrade:
    """Brings a database of the first schema to the newest one, again and again until nothing kills it."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres, self._url = postgres, postgres.url_of("crashing")

    def run(self, fatal: Fatal) -> Outcome:
        """The schema it came to."""
        self._admin('DROP DATABASE IF EXISTS "crashing"')
        self._admin('CREATE DATABASE "crashing"')
        migrate.upgrade(self._url, "0001")  # a fresh database is made in one transaction, an older one in many
        with armed(fatal):
            while migrate.current(self._url) != migrate.head():
                try:
                    migrate.upgrade(self._url)
                except Killed:
                    continue
        with Database(self._url) as database, database.connect() as connection:
            return {"schema": schema_lines(connection)}

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self._postgres.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]
