"""`make bench-stop`: what it costs to give up, and what it costs not to: impossible tasks among solvable ones.

The decisions are those of the strategy `ladder`; everything else is simulated. A candidate of a solvable task is right
with the task's own chance, of a Beta distribution; a repair, an aggregation and a redraft are worth as much as a draft.
A repair finds an impossible task impossible with one chance, a solvable one with another, and then writes no answer.
Each task is played without an end; each rule ends the same play earlier or not at all. Needs no engine.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

from chances import HUMANEVAL, Chances
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
# Completion tokens of a draft as measured on HumanEval, of the analysis before a repair, and of a repair that objects:
# an analysis and one line, for an objection beside an answer is none.
DRAFT_TOKENS, ANALYSIS_TOKENS, OBJECTION_TOKENS = 189, 60, 100
# Of a wrong candidate: the share of visible checks that it passes is one of these, up to the most that its task allows.
SCORES = (0.0, 1 / 3, 2 / 3)
NEVER = 10**6
DROPPED = 0.02  # at most so large a share of the solvable


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The chance that a candidate is right, 0 where the task is impossible, and the best score of a wrong one."""

    chance: float
    ceiling: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """How often a repair objects: to an impossible task, and to another. With `alike` all repairs of a task say the
    same, so that only so large a share of the tasks is ever objected to. `worth` is how likely a repair is right, as a
    share of a draft's chance."""

    impossible: float
    others: float
    alike: bool = False
    worth: float = 1.0

    def __str__(self) -> str:
        return f"{self.impossible:.0%}, {self.others:.0%}" if self.impossible else "never"

    def objects(self, task: Task, seed: str, ref: CandidateRef) -> bool:
        """Whether this repair does."""
        share = 0.0 if not self.impossible else self.others if task.chance > 0 else self.impossible
        return random.Random(f"{seed} objects {'' if self.alike else ref}").random() < share  # noqa: S311

    def odds(self, objected: int, silent: int) -> float:
        """How much more likely so many objections and silences are where a task is impossible."""
        if not self.impossible:
            return 1.0
        said = (self.impossible / self.others) ** objected
        return said * ((1 - self.impossible) / (1 - self.others)) ** silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A task that nobody gave up: its history, and the tokens after each iteration, from none on."""

    task: Task
    history: tuple[Iteration, ...]
    tokens: tuple[int, ...]

    @property
    def solved(self) -> bool:
        """Whether a right candidate came within the budget."""
        return self.unsolved < len(self.history)

    @property
    def unsolved(self) -> int:
        """The iterations before the one that brought a right candidate; all where none did."""
        return next((n for n, i in enumerate(self.history) if any(c.accepted for c in i.candidates)), len(self.history))

    @property
    def decisive(self) -> Played:
        """The same where passing the checks is proof: it ends with the first candidate that passes."""
        count = min(self.unsolved + 1, len(self.history))
        return Played(task=self.task, history=self.history[:count], tokens=self.tokens[: count + 1])

    def given_up(self, rule: Rule) -> int | None:
        """The iterations after which the rule ends it; None where it does not."""
        return next((n for n in range(1, self.unsolved + 1) if rule(self.history[:n])), None)


Rule = Callable[[Sequence[Iteration]], bool]


def ladders(patience: int, objections: int) -> Rule:
    """When `ladder` gives up."""
    return lambda history: bool(impossible(history, objections) or no_gain(history, patience))


def tasks_of(seed: int, chances: Chances) -> list[Task]:
    """Solvable tasks and impossible ones."""
    chance = random.Random(seed)  # noqa: S311 - a seeded draw is the point
    drawn = [max(1e-9, chances.draw(chance)) for _ in range(SOLVABLE)]
    return [Task(chance=each, ceiling=chance.choice(SCORES)) for each in [*drawn, *[0.0] * IMPOSSIBLE]]


def play(task: Task, seed: str, reports: Reports, *, decisive: bool = False, width: int = 2, first: int = 2) -> Played:
    """The task until it is solved or its iterations are spent."""
    limits = Limits(
        budget=Budget(usd=Decimal(1), hours=1e6, iterations=ITERATIONS, tokens=10**12),
        spend=Spend(),
        hours=0.0,
        width=width,
        decisive=decisive,
    )
    ladder, history = Ladder(patience=NEVER, objections=NEVER, first=first), list[Iteration]()
    while not isinstance(decision := ladder.decide(history, limits), Stop):
        made = _candidates(task, seed, reports, history, decision)
        history.append(Iteration(number=len(history) + 1, operator=operator_of(decision), candidates=made))
    if decision.code not in (StopCode.ACCEPTED, StopCode.BUDGET_ITERATIONS):
        raise AssertionError(f"nobody may give up here: {decision}")
    costs = (sum(map(_tokens, iteration.candidates)) for iteration in history)
    return Played(task=task, history=tuple(history), tokens=tuple(accumulate(costs, initial=0)))


def _tokens(candidate: Candidate) -> int:
    if candidate.objection:
        return OBJECTION_TOKENS
    return DRAFT_TOKENS + (ANALYSIS_TOKENS if candidate.revision else 0)


def _candidates(
    task: Task, seed: str, reports: Reports, history: Sequence[Iteration], move: Decision
) -> tuple[Candidate, ...]:
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
        objects = parent is not None and reports.objects(task, seed, ref)
        chance = random.Random(f"{seed} {ref}")  # noqa: S311
        likely = task.chance * (reports.worth if parent else 1.0)
        right, score = chance.random() < likely and not objects, chance.choice(SCORES)
        score = 1.0 if right else 0.0 if objects else min(score, task.ceiling)
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
                objection="impossible" if objects else "",
            )
        )
    return tuple(made)


def plays_of(chances: Chances, reports: Reports, seeds: int, *, width: int = 2, first: int = 2) -> list[Played]:
    """All tasks of all seeds, blind."""
    return [
        play(task, f"{seed} {number}", reports, width=width, first=first)
        for seed in range(seeds)
        for number, task in enumerate(tasks_of(seed, chances))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Shares: of the tokens those on impossible tasks, of the solvable those dropped. `tokens` are a task's."""

    impossible: float
    dropped: float
    tokens: float


def cost(plays: Sequence[Played], ends: Iterable[int | None]) -> Cost:
    """What it costs to end each play after so many iterations."""
    spent, dropped = {True: 0, False: 0}, 0
    for played, end in zip(plays, ends, strict=True):
        solvable = played.task.chance > 0
        spent[solvable] += played.tokens[-1 if end is None else end]
        dropped += solvable and played.solved and end is not None
    whole, solvable_tasks = sum(spent.values()), sum(played.task.chance > 0 for played in plays)
    return Cost(impossible=spent[False] / whole, dropped=dropped / solvable_tasks, tokens=whole / len(plays))


def by_rule(plays: Sequence[Played], rule: Rule) -> tuple[Cost, Cost]:
    """What a rule costs with a checker, and blind."""
    return _costs(plays, [played.given_up(rule) for played in plays])


def bound(plays: Sequence[Played], chances: Chances, reports: Reports) -> tuple[Cost, Cost]:
    """With a checker and blind: the least share of tokens on the impossible of a rule that drops at most `DROPPED` and
    knows how often tasks are impossible, how the chances of the others are distributed and how often a repair objects;
    not which task it has. It ends a play once the odds that it is impossible, over the chance of the next candidate,
    pass a threshold."""
    regrets = [list(accumulate(_regrets(played, chances, reports), max)) for played in plays]
    ends = [
        [next((n for n, regret in enumerate(each, 1) if regret > 1.2**exponent), None) for each in regrets]
        for exponent in range(-30, 80)
    ]
    allowed = [costs for each in ends if (costs := _costs(plays, each))[0].dropped <= DROPPED]
    return min(allowed, key=lambda costs: costs[0].impossible)


def _costs(plays: Sequence[Played], ends: Sequence[int | None]) -> tuple[Cost, Cost]:
    return cost([played.decisive for played in plays], ends), cost(plays, ends)


def _regrets(played: Played, chances: Chances, reports: Reports) -> Iterable[float]:
    """After each iteration without a right candidate: what is lost by going on, against what may be gained."""
    tried = objected = silent = 0
    for iteration in played.history[: played.unsolved]:
        for candidate in iteration.candidates:
            objected += bool(candidate.objection)
            tried += not candidate.objection
            silent += candidate.revision > 0 and not candidate.objection
        odds = IMPOSSIBLE / SOLVABLE / chances.failed(tried) * reports.odds(objected, silent)
        yield odds / chances.hazard(tried)


# What is assumed of repairs, since nobody has measured it.
NONE, SOME, MOST = (Reports(impossible=each, others=0.02) for each in (0.0, 0.3, 0.6))
OFTEN_WRONG = Reports(impossible=0.6, others=0.1)
PATIENCE = (10, 20, 25, ITERATIONS)
POOL = Path(__file__).parents[1] / "tests/pools/humaneval-qwen2.5-coder-1.5b.jsonl.xz"


def rules(seeds: int, width: int) -> list[tuple[str, ...]]:
    """A row for each rule: how many drafts before the first repairs, how many objections and iterations are enough."""
    made = list[tuple[str, ...]]()
    for reports, first in ((NONE, 2), (SOME, 2), (MOST, 4), (MOST, 2), (OFTEN_WRONG, 2)):
        plays = plays_of(HUMANEVAL, reports, seeds, width=width, first=first)
        for objections in (2, 1) if reports.impossible else (2,):
            for patience in PATIENCE:
                costs = by_rule(plays, ladders(patience, objections))
                made.append((str(reports), str(first), str(objections), _patience(patience), *_figures(costs)))
        made.append((str(reports), str(first), "bound", "", *_figures(bound(plays, HUMANEVAL, reports))))
    return made


def otherwise(seeds: int) -> list[tuple[str, ...]]:
    """The default rule and the bound, where something else holds."""
    easy, hard, default = Chances.of_pool(POOL), Chances.of(0.2, 0.45, 4), Ladder()
    cases: list[tuple[str, Chances, Reports, int]] = [
        (f"{name}; {reports}", chances, reports, 2)
        for name, chances in (("pass@1 20 %, pass@4 45 %", hard), ("the packaged pool's chances", easy))
        for reports in (NONE, MOST)
    ]
    cases += [
        ("four candidates an iteration", HUMANEVAL, MOST, 4),
        ("a repair is worth half a draft", HUMANEVAL, dataclasses.replace(MOST, worth=0.5), 2),
        ("all repairs of a task say the same", HUMANEVAL, dataclasses.replace(MOST, alike=True), 2),
    ]
    made = []
    for name, chances, reports, width in cases:
        plays = plays_of(chances, reports, seeds, width=width)
        costs = by_rule(plays, ladders(default.patience, default.objections))
        # A bound for repairs of one mind, or for a worth that differs, would need another formula.
        least = bound(plays, chances, reports) if reports.worth == 1 and not reports.alike else None
        made.append((name, *_figures(costs), *(f"{each.impossible:.0%}" for each in least or ())))
    return [row if len(row) == 9 else (*row, "-", "-") for row in made]


def main(arguments: list[str] | None = None) -> None:
    """The rules side by side, then the default one where what is assumed is not so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=2, help="candidates of an iteration")
    given = parser.parse_args(arguments)
    modes = ("with a checker", "dropped", "tokens", "blind", "dropped", "tokens")
    print("share of the tokens on the impossible, of the solvable dropped, and tokens a task", flush=True)
    head = ("objects to impossible, others", "first", "enough", "patience")
    print(table((*head, *modes), rules(given.seeds, given.width)), flush=True)
    print(f"the default, where something else holds than {HUMANEVAL.mean:.0%} at once and {MOST}", flush=True)
    print(table(("case", *modes, "bound", "bound, blind"), otherwise(given.seeds)), flush=True)


def _patience(iterations: int) -> str:
    return str(iterations) if iterations < ITERATIONS else "none"


def _figures(costs: Iterable[Cost]) -> list[str]:
    return [text for c in costs for text in (f"{c.impossible:.1%}", f"{c.dropped:.1%}", f"{c.tokens:,.0f}")]


if __name__ == "__main__":
    main()
