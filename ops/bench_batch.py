"""`make bench-batch`: how many tokens a batch takes for as many solved jobs as first come, first served.

Both orders are the real claim's on a real Postgres, over the same tasks; only the drafts are pretended: each is right
with its task's own chance, which is that of a recorded pool (`--pool FILE`), or else drawn from the Beta distribution
of HumanEval at 1.5B (pass@1 0.45, pass@4 0.72). Needs no engine.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from dispatch.bench_postgres import BenchPostgres, bench_postgres
from dispatch.simulation import Night
from figures import table
from sqlalchemy import text

from tasks.store import batches, dispatch, leases
from tasks.store.session import Database
from tasks.types import Claim, Lane
from workers.bench.pool import read_pool

TASKS = 164
PASS_AT_1, PASS_AT_4 = 0.45, 0.72
# Tokens in and out of a draft: HumanEval's prompts with ours around them, and 189 out as measured.
DRAFT_TOKENS = (330, 189)
WORKERS = 8
# The budget for all tasks together, in drafts a task. 1,500 completion tokens a task are 8.
POTS = (1, 2, 4, 8)
# What a job may spend of its own: 30 iterations are the default.
OWN_ITERATIONS = (8, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task's chance that a draft solves it, and what a draft takes, in tokens."""

    chance: float
    tokens: int

    def right(self, seed: int, job: int, draft: int) -> bool:
        """Whether the n-th draft of a job is right: the same in every order, so that they are compared in pairs."""
        return random.Random(f"{seed}/{job}/{draft}").random() < self.chance  # noqa: S311 - a seeded draw is the point


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How the tasks are worked on: as one batch or job by job, and how many drafts an iteration has."""

    batch: bool
    drafts: int = 1


def beta_tasks(chance: random.Random) -> list[Task]:
    """Tasks whose chances have the mean and the spread of HumanEval's."""
    total = concentration()
    alpha, beta = PASS_AT_1 * total, (1 - PASS_AT_1) * total
    tokens = sum(DRAFT_TOKENS)
    return [Task(chance=chance.betavariate(alpha, beta), tokens=tokens) for _ in range(TASKS)]


def pooled_tasks(path: Path, chance: random.Random) -> list[Task]:
    """The tasks of a recorded pool, in an order of their own for each seed: each draft of a task is one that was
    recorded at the drawing temperature, with replacement."""
    pool = read_pool(path)
    made = []
    for name in sorted({task for (task, _), draft in pool.drafts.items() if draft.temperature > 0}):
        drawn = [draft for draft in pool.of(name) if draft.temperature > 0]
        tokens = statistics.fmean(draft.prompt_tokens + draft.completion_tokens for draft in drawn)
        made.append(Task(chance=statistics.fmean(draft.right for draft in drawn), tokens=round(tokens)))
    chance.shuffle(made)
    return made


def curve(database: Database, tasks: Sequence[Task], order: Order, iterations: int, pot: int, seed: int) -> list[int]:
    """The tokens that all jobs had used together when the n-th of them was solved, until `pot` was spent."""
    jobs = _submit(database, tasks, order, pot, seed)
    made: Counter[int] = Counter()
    used, solved = 0, []
    held: list[Claim | None] = [None] * WORKERS
    idle = 0
    for turn in range(10**9):
        worker = turn % WORKERS
        claim, held[worker] = held[worker], None
        if claim is not None:
            cost = jobs[claim.job].tokens * order.drafts
            used += cost
            place = claim.job - min(jobs)
            drafts = range(made[place], made[place] + order.drafts)
            right = any([jobs[claim.job].right(seed, place, draft) for draft in drafts])
            made[place] += order.drafts
            if used > pot:
                break
            solved += [used] if right else []
            _record(database, claim, order, cost, right, iterations)
        rules = dispatch.ClaimRules(lease_seconds=1e9)
        held[worker] = dispatch.claim(database, [Lane.GPU], f"worker{worker}", "turn", rules)
        idle = idle + 1 if held[worker] is None else 0
        if idle >= WORKERS:
            break
    return solved


def _submit(database: Database, tasks: Sequence[Task], order: Order, pot: int, seed: int) -> dict[int, Task]:
    check = '[{"kind": "answer", "name": "answer", "value": 1}]'
    with database.begin() as connection:
        connection.execute(text("TRUNCATE jobs, batches, family_counts, workers, owner_usage CASCADE"))
        # All live, so that the wait for a job's last worker holds as it does in a fleet.
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)
                    SELECT 'worker' || n, '', 0, '{gpu}', 1, '', now() + interval '1 day'
                    FROM generate_series(0, :last) n"""),
            {"last": WORKERS - 1},
        )
        made = text("INSERT INTO batches (owner, budget_tokens) VALUES ('owner', :pot) RETURNING id")
        batch = connection.execute(made, {"pot": pot}).scalar_one() if order.batch else None
        query = text("""INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd,
                        budget_hours, budget_iterations, budget_tokens, batch_id)
                        SELECT 'owner', md5(n || '/' || :seed), 'simulated', 'p', CAST(:check AS jsonb), 'best_of_n',
                               'gpu', 'never', 1, 1, 1, 1, :batch FROM generate_series(1, :count) n RETURNING id""")
        rows = connection.execute(
            query, {"check": check, "batch": batch, "count": len(tasks), "seed": str(seed)}
        ).scalars()
        return dict(zip(sorted(rows), tasks, strict=True))


def _record(database: Database, claim: Claim, order: Order, cost: int, right: bool, iterations: int) -> None:
    """What the ledger writes of an iteration, as far as the order and the budget depend on it."""
    with database.begin() as connection:
        leases.fence(connection, claim)
        batches.admit(connection, claim.job, tokens=cost)
        row = {"job": claim.job, "cost": cost}
        update = """UPDATE jobs SET iterations = iterations + 1, local_tokens = local_tokens + :cost, score = 0
                    WHERE id = :job RETURNING iterations"""
        number = connection.execute(text(update), row).scalar_one()
        batches.charge(connection, claim.job, tokens=cost, usd=Decimal(0))
        ended = right or number >= iterations
        leases.release(connection, claim, Lane.GPU, done=ended)
        if order.batch:
            batches.count_iteration(connection, claim.job, earlier=number - 1, partly=False, solved=right)
            if not ended:
                batches.leave(connection, claim.job)


def rows(bench: BenchPostgres, pool: Path | None, seeds: int, drafts: int) -> list[tuple[str, ...]]:
    """A row for each budget of the jobs' own and each pot: what each order solved, and the share of tokens that the
    batch took for as many as first come, first served; the median of the seeds, and the least and the most."""
    made, url = [], bench.database(f"batch{drafts}")
    with Database(url) as database, database.begin() as connection:
        connection.execute(text(f"ALTER DATABASE batch{drafts} SET synchronous_commit = off"))  # it is about the order
    with Database(url) as database:
        for own in OWN_ITERATIONS:
            curves = []
            for seed in range(seeds):
                chance = random.Random(seed)  # noqa: S311
                tasks = beta_tasks(chance) if pool is None else pooled_tasks(pool, chance)
                whole = sum(task.tokens for task in tasks)
                most = max(POTS) * whole
                first = Order(batch=False, drafts=drafts)
                curves.append(
                    (
                        curve(database, tasks, first, own, most, seed),
                        curve(database, tasks, Order(batch=True), own * drafts, most, seed),
                        whole,
                    )
                )
            made += [_row(own, pot, curves) for pot in POTS]
    return made


def _row(own: int, pot: int, curves: Sequence[tuple[list[int], list[int], int]]) -> tuple[str, ...]:
    served, batched, shares = [], [], []
    for first, batch, whole in curves:
        served.append(bisect_right(first, pot * whole))
        batched.append(bisect_right(batch, pot * whole))
        count = served[-1]
        if count == 0:
            continue
        shares.append(batch[count - 1] / first[count - 1] if count <= len(batch) else math.inf)
    low, middle, high = (_percent(value) for value in (min(shares), statistics.median(shares), max(shares)))
    counts = f"{statistics.fmean(served):.1f}", f"{statistics.fmean(batched):.1f}"
    return str(own), str(pot), *counts, middle, f"{low} to {high}"


def shares(bench: BenchPostgres, seeds: int) -> list[tuple[str, ...]]:
    """A row for each simulated night of 12 hours: what each owner got of an equal part of the engine. One has a batch
    of 80 jobs, two have 20 jobs each: more than the night is long."""
    made = []
    for seed in range(seeds):
        with Database(bench.database(f"shares{seed}")) as database:
            night = Night(database, random.Random(seed), workers=4)  # noqa: S311
            night.submit("batch", 80, iterations=12, batch=True)
            for owner in ("ann", "bob"):
                night.submit(owner, 20, iterations=12)
            got: Counter[str] = Counter()
            for turn in night.turns(12):
                got[turn.owner] += round(turn.seconds)
        made.append((str(seed), *(f"{3 * got[owner] / got.total():.0%}" for owner in ("batch", "ann", "bob"))))
    return made


def _percent(share: float) -> str:
    return f"{share:.0%}" if math.isfinite(share) else "not reached"


def concentration() -> float:
    """The sum of the parameters of the Beta distribution with PASS_AT_1 and PASS_AT_4, by bisection."""
    low, high = 0.1, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        failed = 1.0
        for n in range(4):
            failed *= ((1 - PASS_AT_1) * middle + n) / (middle + n)
        low, high = (middle, high) if 1 - failed < PASS_AT_4 else (low, middle)
    return low


def main(arguments: list[str] | None = None) -> None:
    """A table for one draft an iteration, and one for as many as an engine's slots, each with its baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--drafts", type=int, nargs="+", default=[1, 4])
    given = parser.parse_args(arguments)
    with bench_postgres() as around:
        print("the share of an equal part of the engine that each owner got")
        print(table(("night", "the owner of a batch", "ann", "bob"), shares(around, given.seeds)), flush=True)
        for drafts in given.drafts:
            print(f"first come, first served with {drafts} drafts an iteration; the batch has one")
            head = ("own iterations", "pot, drafts a task", "solved in order", "as a batch", "its tokens", "over seeds")
            print(table(head, rows(around, given.pool, given.seeds, drafts)), flush=True)


if __name__ == "__main__":
    main()
