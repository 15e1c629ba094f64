"""The book of Redraft's jobs in the chaos suite: which were acknowledged, where they stand, and the judge of what they
came to. Knows the database alone, and no process."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tasks.client import Client
from tasks.errors import MemoryUnavailable, RedraftError
from tasks.ports import MemoryBank
from tasks.store.invariants import Breach, breaches
from tasks.store.session import Database
from tests.chaos.contestant import Charge, Standing
from tests.chaos.workload import Riddle

WORKER = "chaos_fleet"
OWNERS = ("chaos_ada", "chaos_bob")

# What a job has come to: everything that a run without faults makes, and nothing that depends on when it was made.
_STORY = """
SELECT j.id, j.state, j.acceptance, j.answer, j.iterations, (
    SELECT json_agg(json_build_array(c.iteration, c.operator, c.slot, c.check_name, c.vote, c.attempt, c.step, c.text)
                    ORDER BY c.iteration, c.operator, c.slot, c.check_name, c.vote, c.attempt, c.step)
    FROM calls c WHERE c.job_id = j.id) AS calls, (
    SELECT json_agg(json_build_array(k.iteration, k.slot, k.operator, k.text, k.score, k.accepted)
                    ORDER BY k.iteration, k.slot) FROM candidates k WHERE k.job_id = j.id) AS candidates, (
    SELECT json_agg(json_build_array(i.number, i.operator, i.decision) ORDER BY i.number)
    FROM iterations i WHERE i.job_id = j.id) AS iterations_made
FROM jobs j WHERE j.id = ANY(%s)"""
# The lesson of a job is a side effect: written once, carried by the outbox, counted once.
_EFFECTS = """
SELECT j.id, count(l.id) AS lessons,
       (SELECT count(*) FROM outbox o WHERE o.job_id = j.id AND o.delivered_at IS NULL) AS waiting
FROM jobs j LEFT JOIN lessons l ON l.job_id = j.id WHERE j.id = ANY(%s) GROUP BY j.id"""
_SEEN = """
SELECT l.id, l.job_id, l.seen, 1 + (SELECT count(*) FROM lessons d WHERE d.duplicate_of = l.id) AS counted
FROM lessons l WHERE l.duplicate_of IS NULL"""


class Book:
    """Parameters: `admin` gives the superuser's URL of the database now, `login` that of one of `OWNERS` or `WORKER`;
    `bank` is the memory, None where there is none."""

    def __init__(
        self, *, admin: Callable[[], str], login: Callable[[str], str], bank: Callable[[], MemoryBank] | None
    ) -> None:
        self._admin, self._login, self._bank = admin, login, bank
        self._jobs: dict[int, Riddle] = {}
        self._reference: dict[int, str] = {}
        self._keys = itertools.count(1)
        self._cut_turns = 0

    def submit(self, riddles: Sequence[Riddle]) -> tuple[int, ...]:
        """Hands them in, each owner's in one transaction; tried again under the same keys where the answer is lost."""
        jobs: list[int] = []
        for turn, owner in enumerate(OWNERS):
            mine = riddles[turn :: len(OWNERS)]
            if mine:
                with Client(self._login(owner), pool=1) as client:
                    submitted = client.submit([riddle.spec(f"chaos-{next(self._keys)}") for riddle in mine])
                jobs += [one.job for one in submitted]
                self._jobs.update(zip((one.job for one in submitted), mine, strict=True))
        return tuple(jobs)

    def standings(self, jobs: Collection[int]) -> Mapping[int, Standing] | None:
        """A step is a call, a verdict or an iteration that was recorded."""
        rows = self.ask(
            """SELECT j.id, j.finished_at IS NOT NULL AS over, j.iterations
                      + (SELECT count(*) FROM calls c WHERE c.job_id = j.id)
                      + (SELECT count(*) FROM verdicts v WHERE v.job_id = j.id) AS steps
               FROM jobs j WHERE j.id = ANY(%s)""",
            list(jobs),
        )
        return None if rows is None else {row["id"]: Standing(steps=row["steps"], over=row["over"]) for row in rows}

    def attempts(self, jobs: Collection[int]) -> int:
        """How often a message of the jobs' outbox was carried, delivered or not."""
        rows = self.ask("SELECT coalesce(sum(attempts), 0) AS n FROM outbox WHERE job_id = ANY(%s)", list(jobs))
        return int(rows[0]["n"]) if rows else 0

    def cut_turns(self) -> int:
        """Leases that ran out, and turns that ended with a fault of a service."""
        rows = self.ask("SELECT count(*) AS n FROM events WHERE kind IN ('lease expired', 'fault')")
        self._cut_turns = int(rows[0]["n"]) if rows else self._cut_turns
        return self._cut_turns

    def learn(self) -> None:
        """What the jobs so far came to, without faults, is what every later one of the same riddle must come to."""
        for job, story in self._stories().items():
            self._reference[self._jobs[job].number] = story

    def judge(self) -> tuple[Charge, ...]:
        """The invariants of the product, every job's story beside that of the run without faults, every lesson."""
        try:
            with Database(self._login(WORKER), pool=1) as database:
                broken = breaches(database, submitted=tuple(self._jobs), drained=True)
            return (*self._broken(broken), *self._diverged(), *self._effects(), *self._index())
        except (RedraftError, psycopg.Error) as error:
            return (Charge(kind="lost", job=0, what=f"the judge cannot see it: {error}"),)

    def _broken(self, broken: Sequence[Breach]) -> list[Charge]:
        kinds = {"I1": "lost", "I2": "doubled", "I6": "doubled"}
        return [
            Charge(kind=kinds.get(b.invariant[:2], "diverged"), job=b.job, what=f"{b.invariant}: {b.what}")
            for b in broken
        ]

    def _diverged(self) -> list[Charge]:
        found = []
        for job, story in self._stories().items():
            expected, state = self._reference.get(self._jobs[job].number, story), json.loads(story)["state"]
            if state != self._jobs[job].end:
                found.append(Charge(kind="diverged", job=job, what=f"it ended {state}"))
            elif story != expected:
                found.append(Charge(kind="diverged", job=job, what=_difference(expected, story)))
        return found

    def _effects(self) -> list[Charge]:
        teaching = [job for job, riddle in self._jobs.items() if riddle.memory]
        found = []
        for row in self._see(_EFFECTS, teaching):
            if row["lessons"] > 1:
                found.append(Charge(kind="doubled", job=row["id"], what=f"{row['lessons']} lessons"))
            if row["lessons"] == 0 or row["waiting"]:
                what = "no lesson" if row["lessons"] == 0 else "its lesson was never delivered"
                found.append(Charge(kind="lost", job=row["id"], what=what))
        for row in self._see(_SEEN):
            if row["seen"] != row["counted"]:
                kind = "doubled" if row["seen"] > row["counted"] else "lost"
                what = f"lesson {row['id']} counts {row['seen']} deliveries of {row['counted']}"
                found.append(Charge(kind=kind, job=row["job_id"], what=what))
        return found

    def _index(self) -> list[Charge]:
        """The memory's index beside the lessons that Postgres holds."""
        if self._bank is None:
            return []
        kept = len(self._see(_SEEN))
        try:
            there = self._bank().count()
        except MemoryUnavailable as error:
            return [Charge(kind="lost", job=0, what=f"the memory does not answer: {error}")]
        kind = "lost" if there < kept else "doubled"
        return [] if there == kept else [Charge(kind=kind, job=0, what=f"{there} lessons in the index, {kept} kept")]

    def _stories(self) -> dict[int, str]:
        rows = self._see(_STORY, list(self._jobs))
        return {row.pop("id"): json.dumps(row, sort_keys=True, indent=0) for row in rows}

    def ask(self, query: str, *parameters: object) -> list[dict[str, Any]] | None:
        """Rows; None where Postgres is away."""
        try:
            return self._see(query, *parameters)
        except psycopg.Error:
            return None

    def _see(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows. Raises `psycopg.Error`: a judge that sees nothing must not acquit."""
        plain = self._admin().replace("+psycopg", "", 1)
        with psycopg.connect(plain, connect_timeout=3, row_factory=dict_row) as connection:
            return connection.execute(query, parameters or None).fetchall()  # type: ignore[arg-type]


def _difference(expected: str, found: str) -> str:
    pairs = itertools.zip_longest(expected.split("\n"), found.split("\n"), fillvalue="(nothing)")
    return next((f"expected {a.strip()}, found {b.strip()}" for a, b in pairs if a != b), "")[:300]


class Booked:
    """A contestant whose jobs the product's own database tells of."""

    _book: Book

    def submit(self, riddles: Sequence[Riddle]) -> tuple[int, ...]:
        """Hands them in."""
        return self._book.submit(riddles)

    def standings(self, jobs: Collection[int]) -> Mapping[int, Standing] | None:
        """A step is a call, a verdict or an iteration that was recorded."""
        return self._book.standings(jobs)

    def attempts(self, jobs: Collection[int]) -> int:
        """How often a message of the jobs' outbox was carried, delivered or not."""
        return self._book.attempts(jobs)

    def cut_turns(self) -> int:
        """Leases that ran out, and turns that ended with a fault of a service."""
        return self._book.cut_turns()

    def learn(self) -> None:
        """What the jobs so far came to is what every later one of the same riddle must come to."""
        self._book.learn()

    def judge(self) -> tuple[Charge, ...]:
        """The product's invariants, every job's story, every lesson."""
        return self._book.judge()
