"""`make bench-stop`: what it costs to give up, and what it costs not to: impossible tasks among solvable ones.

The decisions are those of the strategy `ladder`; everything else is simulated. A candidate of a solvable task is right
with the task's own chance, drawn from the Beta distribution of HumanEval at 1.5B (pass@1 0.45, pass@4 0.72); a repair,
an aggregation and a redraft are worth as much as a draft. A repair finds an impossible task impossible with one chance,
and a solvable one with another. Each task is played once without an end; each rule ends the same play earlier or not at
all. Needs no engine.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bench_batch import PASS_AT_1, concentration
from figures import table

from tasks.policy import Ladder, impossible, no_gain
from tasks.types import (
    Aggregate,
    Budget,
    Candidate,
    CandidateRef,
    Decision,
    Draft,
    Iteration,
    Limits,
    Revise,
    Spend,
    Stop,
    StopCode,
    Verdict,
    operator_of,
)

SOLVABLE, IMPOSSIBLE = 160, 40
ITERATIONS = 30  # the default of a job
# Completion tokens of a draft as measured on HumanEval, and of the analysis before a repair.
DRAFT_TOKENS, ANALYSIS_TOKENS = 189, 60
# Of a wrong candidate: the share of visible checks that it passes is one of these, up to the most that its task allows.
SCORES = (0.0, 1 / 3, 2 / 3)
# How often a repair says that a task is impossible: of one that is, and of one that is not.
REPORTS = ((0.0, 0.0), (0.3, 0.02), (0.6, 0.02), (0.6, 0.1), (0.9, 0.02))
PATIENCE = (10, 15, 20, ITERATIONS)
OBJECTIONS = (1, 2)
NEVER = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The chance that a candidate is right, 0 where the task is impossible, and the best score of a wrong one."""

    chance: float
    ceiling: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a job is given up. `reports` are the chances that a repair objects, of an impossible task and of another."""

    patience: int
    objections: int
    reports: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A task that nobody gave up: its history, and the tokens after each iteration, from none on."""

    task: Task
    history: tuple[Iteration, ...]
    tokens: tuple[int, ...]

    @property
    def solved(self) -> bool:
        """Whether a right candidate came within the budget."""
        return self._solved_after(len(self.history))

    def given_up(self, rule: Rule) -> int | None:
        """The iterations after which the rule ends it; None where it does not."""
        seen = _objecting(self.history, rule.reports[self.task.chance > 0])
        for count in range(1, len(seen) + 1):
            if self._solved_after(count):
                return None
            if impossible(seen[:count], rule.objections) or no_gain(seen[:count], rule.patience):
                return count
        return None

    def _solved_after(self, count: int) -> bool:
        return any(c.accepted for iteration in self.history[:count] for c in iteration.candidates)


def tasks_of(seed: int) -> list[Task]:
    """Solvable tasks and impossible ones."""
    chance, total = random.Random(seed), concentration()  # noqa: S311 - a seeded draw is the point
    chances = [chance.betavariate(PASS_AT_1 * total, (1 - PASS_AT_1) * total) for _ in range(SOLVABLE)]
    return [Task(chance=each, ceiling=chance.choice(SCORES)) for each in [*chances, *[0.0] * IMPOSSIBLE]]


def play(task: Task, seed: str, *, width: int, decisive: bool) -> Played:
    """The task until it is solved or its iterations are spent."""
    limits = Limits(
        budget=Budget(usd=Decimal(1), hours=1e6, iterations=ITERATIONS, tokens=10**12),
        spend=Spend(),
        hours=0.0,
        width=width,
        decisive=decisive,
    )
    ladder, history, tokens = Ladder(patience=NEVER, objections=NEVER), list[Iteration](), [0]
    while not isinstance(decision := ladder.decide(history, limits), Stop):
        made = _candidates(task, seed, history, decision)
        analysed = ANALYSIS_TOKENS if isinstance(decision, Revise) else 0
        tokens.append(tokens[-1] + len(made) * (DRAFT_TOKENS + analysed))
        history.append(Iteration(number=len(history) + 1, operator=operator_of(decision), candidates=made))
    if decision.code not in (StopCode.ACCEPTED, StopCode.BUDGET_ITERATIONS):
        raise AssertionError(f"nobody may give up here: {decision}")
    return Played(task=task, history=tuple(history), tokens=tuple(tokens))


def _candidates(task: Task, seed: str, history: Sequence[Iteration], move: Decision) -> tuple[Candidate, ...]:
    known = {c.ref: c for iteration in history for c in iteration.candidates}
    match move:
        case Revise(parents=refs):
            parents: list[Candidate | None] = [known[ref] for ref in refs]
        case Draft(slots=slots) | Aggregate(slots=slots):
            parents = [None] * slots
        case _:
            raise AssertionError(f"a ladder without probes does not decide {move}")
    made = []
    for slot, parent in enumerate(parents):
        ref = CandidateRef(iteration=len(history) + 1, slot=slot)
        chance = random.Random(f"{seed} {ref}")  # noqa: S311
        right, score, objects = chance.random() < task.chance, chance.choice(SCORES), chance.random()
        score = 1.0 if right else min(score, task.ceiling)
        made.append(
            Candidate(
                ref=ref,
                operator=operator_of(move),
                text=f"{ref}",
                root=parent.root if parent else ref,
                revision=parent.revision + 1 if parent else 0,
                parent=parent.ref if parent else None,
                verdicts=(Verdict(check="c", kind="python", passed=right, score=score, feedback=str(ref)),),
                score=score,
                accepted=right,
                behaviour="right" if right else None,
                objection=str(objects) if parent and not right else "",
            )
        )
    return tuple(made)


def _objecting(history: Sequence[Iteration], share: float) -> tuple[Iteration, ...]:
    """The history with the objections of so large a share of the repairs."""

    def heard(candidate: Candidate) -> Candidate:
        silent = candidate.objection and float(candidate.objection) >= share
        return dataclasses.replace(candidate, objection="") if silent else candidate

    return tuple(dataclasses.replace(i, candidates=tuple(map(heard, i.candidates))) for i in history)


def row(plays: Sequence[Played], rule: Rule) -> tuple[str, ...]:
    """What a rule costs: tokens on the impossible, and solvable tasks that it drops."""
    spent, dropped = {True: 0, False: 0}, 0
    for played in plays:
        end, solvable = played.given_up(rule), played.task.chance > 0
        spent[solvable] += played.tokens[-1 if end is None else end]
        dropped += solvable and played.solved and end is not None
    whole, solvable_tasks = sum(spent.values()), sum(played.task.chance > 0 for played in plays)
    return (
        f"{rule.reports[0]:.0%}, {rule.reports[1]:.0%}",
        str(rule.objections) if any(rule.reports) else "-",
        str(rule.patience) if rule.patience < ITERATIONS else "none",
        f"{spent[False] / whole:.0%}",
        f"{dropped / solvable_tasks:.1%}",
        f"{whole / len(plays):,.0f}",
    )


def main(arguments: list[str] | None = None) -> None:
    """A table for jobs with a checker, and one for blind ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=2, help="candidates of an iteration")
    given = parser.parse_args(arguments)
    head = ("objects to impossible, others", "enough", "patience", "tokens on the impossible", "dropped", "tokens")
    for decisive in (True, False):
        plays = [
            play(task, f"{seed} {number}", width=given.width, decisive=decisive)
            for seed in range(given.seeds)
            for number, task in enumerate(tasks_of(seed))
        ]
        rules = [
            Rule(patience=patience, objections=enough, reports=reports)
            for reports in REPORTS
            for enough in (OBJECTIONS if any(reports) else OBJECTIONS[-1:])
            for patience in PATIENCE
        ]
        print("with a checker" if decisive else "blind", flush=True)
        print(table(head, [row(plays, rule) for rule in rules]), flush=True)


if __name__ == "__main__":
    main()
