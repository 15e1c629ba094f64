"""Simulated nights over the real claim on a real Postgres: only the turns are pretended, and time passes by moving
every waiting row into the past. Three rules, each with a table: fairness between owners, ageing, affinity."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dispatch.bench_postgres import BenchPostgres
from sqlalchemy import text

from tasks.store import batches, dispatch, leases
from tasks.store.session import Database
from tasks.types import Claim, Lane

HOUR = 3600.0
# A worker that finds nothing looks again after this long, as the relay's wake-ups make it.
LOOK_AGAIN_SECONDS = 1.0
# Turns on a local model: from a quick draft to a long correction.
TURN_SECONDS = (60.0, 600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn that was taken: times in seconds since the simulation began."""

    job: int
    owner: str
    worker: str
    begun: float
    seconds: float


@dataclass(slots=True)
class Night:
    """Workers that claim, take turns and hand back. `left` are the iterations each job needs still."""

    database: Database
    chance: random.Random
    workers: int
    affinity: bool = True
    now: float = 0.0
    owners: dict[int, str] = field(default_factory=dict)
    left: Counter[int] = field(default_factory=Counter)
    batched: set[int] = field(default_factory=set)

    def submit(self, owner: str, jobs: int, *, iterations: int, priority: int = 0, batch: bool = False) -> list[int]:
        """New jobs of an owner, which need so many iterations each; as one `batch` with a budget that lasts."""
        query = text("""INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, priority,
                        budget_usd, budget_hours, budget_iterations, budget_tokens, batch_id)
                        SELECT :owner, '', 'simulated', 'p', '[{"kind": "answer", "name": "answer", "value": 1}]',
                               'correct', 'gpu', 'full', :priority, 1, 1, 1, 1, :batch
                        FROM generate_series(1, :jobs) RETURNING id""")
        with self.database.begin() as connection:
            made = text("INSERT INTO batches (owner, budget_tokens) VALUES (:owner, 1000000000) RETURNING id")
            number = connection.execute(made, {"owner": owner}).scalar_one() if batch else None
            given = {"owner": owner, "priority": priority, "jobs": jobs, "batch": number}
            numbers = list(connection.execute(query, given).scalars())
        self.batched |= set(numbers) if batch else set()
        for job in numbers:
            self.owners[job], self.left[job] = owner, iterations
        return numbers

    def turns(self, hours: float) -> Iterator[Turn]:
        """Every turn of the next `hours`, at its beginning."""
        self._present()
        order = itertools.count()
        due: list[tuple[float, int, str, Turn | None, Claim | None]] = [
            (self.now, next(order), f"worker{number}", None, None) for number in range(self.workers)
        ]
        until = self.now + hours * HOUR
        while due[0][0] < until:
            at, _, worker, turn, held = heapq.heappop(due)
            self._pass(at - self.now)
            if turn and held:
                self._end(turn, held)
            claim = dispatch.claim(self.database, [Lane.GPU], worker, "turn", dispatch.ClaimRules(lease_seconds=1e9))
            if claim is None:
                heapq.heappush(due, (self.now + LOOK_AGAIN_SECONDS, next(order), worker, None, None))
                continue
            seconds = self.chance.uniform(*TURN_SECONDS)
            began = Turn(job=claim.job, owner=self.owners[claim.job], worker=worker, begun=self.now, seconds=seconds)
            heapq.heappush(due, (self.now + seconds, next(order), worker, began, claim))
            yield began

    def _present(self) -> None:
        with self.database.begin() as connection:
            connection.execute(
                text("""INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)
                        SELECT 'worker' || n, '', 0, '{gpu}', 1, '', now() + interval '1 day'
                        FROM generate_series(0, :last) n ON CONFLICT DO NOTHING"""),
                {"last": self.workers - 1},
            )

    def _pass(self, seconds: float) -> None:
        if seconds > 0:
            with self.database.begin() as connection:
                connection.execute(
                    text("""UPDATE leases SET waiting_since = waiting_since - make_interval(secs => :seconds)
                            WHERE runnable AND worker IS NULL"""),
                    {"seconds": seconds},
                )
        self.now += seconds

    def _end(self, turn: Turn, held: Claim) -> None:
        self.left[turn.job] -= 1
        with self.database.begin() as connection:
            leases.fence(connection, held)
            connection.execute(
                text("""INSERT INTO owner_usage VALUES (:owner, date_trunc('hour', now()), :seconds)
                        ON CONFLICT (owner, hour) DO UPDATE
                        SET engine_seconds = owner_usage.engine_seconds + excluded.engine_seconds"""),
                {"owner": turn.owner, "seconds": turn.seconds},
            )
            leases.release(connection, held, Lane.GPU, done=self.left[turn.job] <= 0)
            if turn.job in self.batched:
                row = {"job": turn.job}
                connection.execute(text("UPDATE jobs SET iterations = iterations + 1 WHERE id = :job"), row)
                batches.leave(connection, turn.job)
            if not self.affinity:
                connection.execute(text("UPDATE leases SET last_worker = NULL WHERE job_id = :job"), {"job": turn.job})


def fairness_rows(bench: BenchPostgres, scale: float) -> list[tuple[str, ...]]:
    """Hours of engine each owner got, every two hours; four workers, and queues of very different lengths."""
    hours, stretch = 8 * scale, 2 * scale
    with Database(bench.database("fairness")) as database:
        night = Night(database, random.Random(1), workers=4)
        jobs = {"crowd": 200, "pair": 20, "single": 8}
        for owner, number in jobs.items():
            night.submit(owner, number, iterations=12)
        turns = list(night.turns(hours / 2))
        night.submit("latecomer", 20, iterations=12)
        turns += night.turns(hours / 2)
        jobs["latecomer"] = 20
    rows = []
    for owner, number in jobs.items():
        got = [_within(turns, owner, n * stretch * HOUR, (n + 1) * stretch * HOUR) / HOUR for n in range(4)]
        rows.append((owner, str(number), *(f"{each:.2f}" for each in got)))
    return rows


def ageing_rows(bench: BenchPostgres, scale: float) -> list[tuple[str, ...]]:
    """When a job of priority 0 is begun beside a stream of more urgent ones that never ends, of the same owner."""
    rows = []
    for priority in (1, 2, 5)[: 3 if scale >= 1 else 1]:
        with Database(bench.database(f"ageing{priority}")) as database:
            night = Night(database, random.Random(priority), workers=1)
            (patient,) = night.submit("owner", 1, iterations=1)
            night.submit("owner", 3, iterations=1, priority=priority)
            urgent, begun = 0, None
            for turn in night.turns(priority * dispatch.AGEING_SECONDS / HOUR + 2):
                if turn.job == patient:
                    begun = turn.begun
                    break
                urgent += 1
                night.submit("owner", 1, iterations=1, priority=priority)
        expected = priority * dispatch.AGEING_SECONDS
        rows.append((f"0 beside {priority}", f"{expected / HOUR:.1f}", _hours(begun), str(urgent)))
    return rows


def affinity_rows(bench: BenchPostgres, scale: float) -> list[tuple[str, ...]]:
    """How many turns run where the job's last one ran: with the rule, and with the last worker forgotten."""
    rows = []
    for affinity in (True, False):
        with Database(bench.database(f"affinity{affinity}")) as database:
            night = Night(database, random.Random(3), workers=8, affinity=affinity)
            for owner in ("ann", "bob", "cy"):
                night.submit(owner, 10, iterations=10)
            turns = list(night.turns(4 * scale))
        last: dict[int, str] = {}
        same = later = 0
        for turn in turns:
            later += turn.job in last
            same += last.get(turn.job) == turn.worker
            last[turn.job] = turn.worker
        busy = sum(turn.seconds for turn in turns) / (max(t.begun + t.seconds for t in turns) * night.workers)
        rows.append(
            ("on" if affinity else "off", str(len(turns)), str(later), f"{same / max(1, later):.0%}", f"{busy:.0%}")
        )
    return rows


def _within(turns: Sequence[Turn], owner: str, begin: float, end: float) -> float:
    """The owner's seconds of engine between two moments."""
    return sum(
        max(0.0, min(end, turn.begun + turn.seconds) - max(begin, turn.begun)) for turn in turns if turn.owner == owner
    )


def _hours(seconds: float | None) -> str:
    return "not begun" if seconds is None else f"{seconds / HOUR:.2f}"
