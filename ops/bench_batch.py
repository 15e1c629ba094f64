"""`make bench-batch`: how many tokens a batch takes for as many solved jobs as first come, first served.

The batch's order is the real claim's on a real Postgres; in order each of eight workers keeps its job until that ends.
Only the drafts are pretended: each is right with its task's own chance, of the Beta distribution of HumanEval at 1.5B,
or, with `--pool FILE`, of what a recorded pool says of one of its tasks. Two bounds beside them: an order that knows
each task's chance, and one that knows how the chances are distributed. Needs no engine.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from chances import HUMANEVAL, Chances, drafts_of
from dispatch.bench_postgres import BenchPostgres, bench_postgres
from dispatch.simulation import Night
from figures import table
from sqlalchemy import text

from tasks.store import batches, dispatch, leases
from tasks.store.session import Database
from tasks.types import Claim, Lane

TASKS = 164
# Tokens in and out of a draft: HumanEval's prompts with ours around them, and 189 out as measured.
DRAFT_TOKENS = (330, 189)
WORKERS = 8
# The budget for all tasks together, in drafts a task. 1,500 completion tokens a task are 8.
POTS = (1, 2, 4, 8)
# What a job may spend of its own, by default, and of how many drafts an iteration is that is worked on in order: an
# engine's slots, or one as in a batch.
ITERATIONS, DRAFTS = 30, (4, 1)
# Families that differ by how many of their tasks a draft solves, each with HumanEval's spread.
FAMILIES = (0.8, 0.45, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task's chance that a draft solves it, drawn from `chances`, and what a draft takes, in tokens."""

    chance: float
    chances: Chances
    tokens: int
    family: str = ""

    def right(self, seed: int, job: int, draft: int) -> bool:
        """Whether the n-th draft of a job is right: the same in every order, so that they are compared in pairs."""
        return random.Random(f"{seed}/{job}/{draft}").random() < self.chance  # noqa: S311 - a seeded draw is the point


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """An iteration: the tokens that all had used at its end, its job's place, whether it solved it."""

    used: int
    place: int
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """All tries of an order."""

    tries: Sequence[Try]

    def within(self, pot: int) -> Curve:
        """Until so many tokens were spent."""
        return Curve(tries=[each for each in self.tries if each.used <= pot])

    @property
    def spent(self) -> int:
        """Tokens in all."""
        return self.tries[-1].used if self.tries else 0

    @property
    def solved(self) -> Sequence[int]:
        """The tokens used when the n-th was solved."""
        return [each.used for each in self.tries if each.right]

    @property
    def lost(self) -> int:
        """Tokens on jobs that it did not solve."""
        solved = {each.place for each in self.tries if each.right}
        earlier = (0, *(each.used for each in self.tries))
        return sum(
            each.used - before for each, before in zip(self.tries, earlier, strict=False) if each.place not in solved
        )

    def until(self, count: int) -> float:
        """The tokens used when so many were solved; infinite where they never were."""
        solved = self.solved
        return (solved[count - 1] if count else 0) if count <= len(solved) else math.inf


def beta_tasks(chance: random.Random) -> list[Task]:
    """Tasks whose chances have the mean and the spread of HumanEval's."""
    tokens = sum(DRAFT_TOKENS)
    return [Task(chance=HUMANEVAL.draw(chance), chances=HUMANEVAL, tokens=tokens) for _ in range(TASKS)]


def pooled_tasks(path: Path, chance: random.Random) -> list[Task]:
    """Tasks of a recorded pool, drawn with replacement. What a task's drafts say of its chance is the posterior of the
    Beta distribution of all; a draft takes the tokens of its mean one."""
    chances, made = Chances.of_pool(path), []
    recorded = list(drafts_of(path).values())
    for _ in range(TASKS):
        drafts = chance.choice(recorded)
        right = sum(draft.right for draft in drafts)
        posterior = Chances(alpha=chances.alpha + right, beta=chances.beta + len(drafts) - right)
        tokens = statistics.fmean(draft.prompt_tokens + draft.completion_tokens for draft in drafts)
        made.append(Task(chance=posterior.draw(chance), chances=chances, tokens=round(tokens)))
    return made


def family_tasks(chance: random.Random) -> list[Task]:
    """Tasks of several families, mixed."""
    spread, tokens = HUMANEVAL.alpha + HUMANEVAL.beta, sum(DRAFT_TOKENS)
    made = []
    for _ in range(TASKS):
        mean = chance.choice(FAMILIES)
        chances = Chances(alpha=mean * spread, beta=(1 - mean) * spread)
        made.append(Task(chance=chances.draw(chance), chances=chances, tokens=tokens, family=f"p{mean * 100:.0f}"))
    return made


def in_order(tasks: Sequence[Task], drafts: int, pot: int, seed: int) -> Curve:
    """First come, first served: the order of the claim where no job is of a batch."""
    made: Counter[int] = Counter()
    used, tries = 0, list[Try]()
    waiting, held = iter(range(len(tasks))), [-1] * WORKERS
    for turn in range(10**9):
        worker = turn % WORKERS
        if held[worker] < 0:
            held[worker] = next(waiting, -1)
            if max(held) < 0:
                break
            continue
        place = held[worker]
        used += tasks[place].tokens * drafts
        if used > pot:
            break
        right = any(tasks[place].right(seed, place, made[place] + draft) for draft in range(drafts))
        made[place] += drafts
        tries.append(Try(used=used, place=place, right=right))
        if right or made[place] >= ITERATIONS * drafts:
            held[worker] = next(waiting, -1)
            if max(held) < 0:
                break
    return Curve(tries=tries)


def as_batch(database: Database, tasks: Sequence[Task], pot: int, seed: int) -> Curve:
    """The real claim's order, until `pot` was spent or every job has ended."""
    jobs = _submit(database, tasks, pot, seed)
    made: Counter[int] = Counter()
    used, tries = 0, list[Try]()
    held: list[Claim | None] = [None] * WORKERS
    idle = 0
    for turn in range(10**9):
        worker = turn % WORKERS
        claim, held[worker] = held[worker], None
        if claim is not None:
            cost = jobs[claim.job].tokens
            used += cost
            if used > pot:
                break
            place = claim.job - min(jobs)
            right = jobs[claim.job].right(seed, place, made[place])
            made[place] += 1
            tries.append(Try(used=used, place=place, right=right))
            _record(database, claim, cost, right)
        rules = dispatch.ClaimRules(lease_seconds=1e9)
        held[worker] = dispatch.claim(database, [Lane.GPU], f"worker{worker}", "turn", rules)
        idle = idle + 1 if held[worker] is None else 0
        if idle >= WORKERS:
            break
    return Curve(tries=tries)


def best(tasks: Sequence[Task], seed: int, *, told: bool) -> Curve:
    """A bound: the task first whose solution is expected to cost the fewest tokens, by its chance where the order is
    `told` it, which nobody is; else by how the chances of its family are distributed, given its failures."""

    def expected(place: int, failures: int) -> float:
        task = tasks[place]
        return task.tokens / max(1e-12, task.chance if told else task.chances.hazard(failures))

    open_tasks = [(expected(place, 0), place, 0) for place in range(len(tasks))]
    heapq.heapify(open_tasks)
    used, tries = 0, list[Try]()
    while open_tasks:
        _, place, failures = heapq.heappop(open_tasks)
        used += tasks[place].tokens
        right = tasks[place].right(seed, place, failures)
        tries.append(Try(used=used, place=place, right=right))
        if not right and failures + 1 < ITERATIONS:
            heapq.heappush(open_tasks, (expected(place, failures + 1), place, failures + 1))
    return Curve(tries=tries)


def _submit(database: Database, tasks: Sequence[Task], pot: int, seed: int) -> dict[int, Task]:
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
        batch = connection.execute(made, {"pot": pot}).scalar_one()
        query = text("""INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd,
                        budget_hours, budget_iterations, budget_tokens, batch_id, tags)
                        SELECT 'owner', md5(n || '/' || :seed), 'simulated', 'p', CAST(:check AS jsonb), 'best_of_n',
                               'gpu', 'never', 1, 1, 1, 1, :batch, array_remove(ARRAY[family], '')
                        FROM unnest(CAST(:families AS text[])) WITH ORDINALITY AS t(family, n) RETURNING id""")
        given = {"check": check, "batch": batch, "seed": str(seed), "families": [task.family for task in tasks]}
        rows = connection.execute(query, given).scalars()
        return dict(zip(sorted(rows), tasks, strict=True))


def _record(database: Database, claim: Claim, cost: int, right: bool) -> None:
    """What the ledger writes of an iteration, as far as the order and the budget depend on it."""
    with database.begin() as connection:
        leases.fence(connection, claim)
        batches.admit(connection, claim.job, tokens=cost)
        row = {"job": claim.job, "cost": cost}
        update = """UPDATE jobs SET iterations = iterations + 1, local_tokens = local_tokens + :cost, score = 0
                    WHERE id = :job RETURNING iterations"""
        number = connection.execute(text(update), row).scalar_one()
        batches.charge(connection, claim.job, tokens=cost, usd=Decimal(0))
        ended = right or number >= ITERATIONS
        leases.release(connection, claim, Lane.GPU, done=ended)
        batches.count_iteration(connection, claim.job, earlier=number - 1, partly=False, solved=right)
        if not ended:
            batches.leave(connection, claim.job)


Draw = Callable[[random.Random], list[Task]]


def rows(database: Database, draw: Draw, seeds: int) -> list[tuple[str, ...]]:
    """A row for each number of drafts and each pot, the mean or median of the seeds: what each order solved, and the
    share that the batch and the bounds took for as many as first come, first served: of all that it spent, and of what
    it took until its last."""
    runs = []
    for seed in range(seeds):
        tasks = draw(random.Random(seed))  # noqa: S311
        whole = sum(task.tokens for task in tasks)
        most = max(POTS) * whole
        runs.append(
            Run(
                whole=whole,
                firsts={drafts: in_order(tasks, drafts, most, seed) for drafts in DRAFTS},
                batch=as_batch(database, tasks, most, seed),
                known=best(tasks, seed, told=False),
                told=best(tasks, seed, told=True),
            )
        )
    return [_row(drafts, pot, runs) for drafts in DRAFTS for pot in POTS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A seed's curves, in order by the drafts of an iteration, and the tokens of one draft of every task."""

    whole: int
    firsts: Mapping[int, Curve]
    batch: Curve
    known: Curve
    told: Curve


def _row(drafts: int, pot: int, runs: Sequence[Run]) -> tuple[str, ...]:
    firsts = [run.firsts[drafts].within(pot * run.whole) for run in runs]
    counts = [len(first.solved) for first in firsts]
    batches_ = [len(run.batch.within(pot * run.whole).solved) for run in runs]
    spent = [first.spent / run.whole for first, run in zip(firsts, runs, strict=True)]
    lost = [first.lost / first.spent for first in firsts]

    def took(curves: Sequence[Curve], of: Sequence[float]) -> Sequence[float]:
        return [each.until(count) / tokens for each, count, tokens in zip(curves, counts, of, strict=True)]

    until = [first.until(count) for first, count in zip(firsts, counts, strict=True)]
    batch, known, told = ([getattr(run, name) for run in runs] for name in ("batch", "known", "told"))
    return (
        str(drafts),
        str(pot),
        f"{statistics.fmean(counts):.1f}",
        f"{statistics.fmean(batches_):.1f}",
        f"{statistics.fmean(spent):.1f}",
        _percent(statistics.fmean(lost)),
        _range(took(batch, [first.spent for first in firsts])),
        _range(took(batch, until)),
        _percent(statistics.median(took(known, until))),
        _percent(statistics.median(took(told, until))),
    )


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


def _range(shares: Sequence[float]) -> str:
    return f"{_percent(statistics.median(shares))} ({_percent(min(shares))} to {_percent(max(shares))})"


def main(arguments: list[str] | None = None) -> None:
    """What each owner got, and a table for each set of tasks and each baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args(arguments)
    head = (
        "drafts in order",
        "pot, drafts a task",
        "solved in order",
        "as a batch",
        "spent in order",
        "on unsolved",
        "batch, of what that spent",
        "of that until its last",
        "chances' distribution known",
        "chances known",
    )
    sets: dict[str, Draw] = {"HumanEval's chances": beta_tasks, "three families": family_tasks}
    if given.pool is not None:
        sets = {"the pool's chances": lambda chance: pooled_tasks(given.pool, chance)}
    with bench_postgres() as around:
        print("the share of an equal part of the engine that each owner got")
        print(table(("night", "the owner of a batch", "ann", "bob"), shares(around, given.seeds)), flush=True)
        url = around.database("batch")
        with Database(url) as database, database.begin() as connection:
            connection.execute(text("ALTER DATABASE batch SET synchronous_commit = off"))  # it is about the order
        with Database(url) as database:
            for name, draw in sets.items():
                print(name)
                print(table(head, rows(database, draw, given.seeds)), flush=True)


if __name__ == "__main__":
    main()
