"""Variants of the best candidate: when they are measured, how many, and that they stand in no model's way."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from tasks.escalation import NoCloud
from tasks.operators import Operators
from tasks.policy import Climb, Evolve, LoopRules, limits_of
from tasks.policy.population import children, valid
from tasks.policy.variation import VARIANTS
from tasks.ports import Strategy
from tasks.prompts.layout import WHOLE
from tasks.reasons import describe
from tasks.types import (
    CallKey,
    Candidate,
    CandidateRef,
    CheckSpec,
    Completion,
    Goal,
    Iteration,
    Job,
    Mutate,
    OpenIteration,
    Operator,
    Revise,
    Verdict,
)
from tests.turns import job_of, turn_of
from tests.unit.test_ladder import LIMITS

RULES = LoopRules(width=2, move_up_after=3, escalate_after=9)
SCORE = CheckSpec(name="score", kind="score", value={"command": ["./e", "{candidate}"], "goal": "maximise"})
JUDGE = CheckSpec(name="judge", kind="judge", value="is it clear?")
SCORED = dataclasses.replace(LIMITS, goal=Goal(), width=1, varies=True)
PROGRAM = "def rate():\n    return 0.5"


def one(number: int, text: str, fitness: float | None = None, *, seconds: float = 0.1, **fields: Any) -> Candidate:
    ref = CandidateRef(iteration=number, slot=fields.pop("slot", 0))
    verdict = Verdict(check="score", kind="score", passed=True, score=1.0, value=fitness, seconds=seconds)
    values = {"operator": Operator.DRAFT, "root": ref, "verdicts": (verdict,), **fields}
    return Candidate(ref=ref, text=text, fitness=fitness, **values)


def past(*iterations: Sequence[Candidate]) -> tuple[Iteration, ...]:
    return tuple(
        Iteration(number=number, operator=candidates[0].operator, candidates=tuple(candidates))
        for number, candidates in enumerate(iterations, 1)
    )


def variant(number: int, slot: int, text: str, of: Candidate, fitness: float | None = None) -> Candidate:
    return one(number, text, fitness, slot=slot, operator=Operator.VARY, root=of.root, parent=of.ref, revision=1)


START = one(1, PROGRAM, 1.0, operator=Operator.START)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"checks": (SCORE,)}, True),
        ({"checks": ()}, False),
        ({"checks": (SCORE, JUDGE)}, False),
        ({"checks": (dataclasses.replace(SCORE, held_out=True),)}, False),
        ({"checks": (SCORE, dataclasses.replace(SCORE, name="hidden", held_out=True))}, False),
        ({"checks": (dataclasses.replace(SCORE, value={**SCORE.value, "noise": 0.1}),)}, False),
        ({"checks": (SCORE,), "files": {"a.py": "0" * 64}}, False),
    ],
)
def test_only_a_score_that_is_visible_and_without_noise_and_costs_no_tokens_has_variants_measured(
    spec: dict[str, Any], expected: bool
) -> None:
    job = dataclasses.replace(job_of(**spec), history=past([START]))
    limits = limits_of(job, RULES)
    assert limits.varies is expected
    decision = Evolve().decide(job.history, limits)
    assert (getattr(decision, "varied", None) == (START.ref,)) is expected


@pytest.mark.parametrize("strategy", [Evolve(), Climb()])
@pytest.mark.parametrize(
    ("seconds", "variants"),
    [((0.0,), VARIANTS), ((0.5,), VARIANTS), ((2.0,), 10), ((60.0,), 1), ((60.0, 2.0, 0.1), 10), ((9.0, 0.1), 4)],
)
def test_there_are_fewer_of_them_the_longer_valid_candidates_took(
    strategy: Strategy, seconds: tuple[float, ...], variants: int
) -> None:
    start, *later = (
        one(n, f"{PROGRAM} # {n}", float(n), seconds=took, operator=Operator.START if n == 1 else Operator.MUTATE)
        for n, took in enumerate(seconds, 1)
    )
    broken = one(len(seconds) + 1, "broken", seconds=30.0, operator=Operator.VARY, root=start.root)
    history = past([start], *([candidate] for candidate in later), [broken])
    decision = strategy.decide(history, SCORED)
    assert isinstance(decision, Mutate)
    assert (decision.varied, decision.variants) == ((CandidateRef(iteration=len(seconds), slot=0),), variants)


@pytest.mark.parametrize("strategy", [Evolve(), Climb()])
def test_the_last_variant_that_is_as_good_as_the_best_is_varied_next(strategy: Strategy) -> None:
    equals = [variant(2, slot, f"step {slot}", START, 1.0) for slot in (1, 2)]
    worse, broken = variant(2, 3, "worse", START, 0.5), variant(2, 4, "broken", START)
    copy = one(2, "a copy", 1.0, operator=Operator.MUTATE, root=START.ref, parent=START.ref, revision=1)
    history = past([START], [copy, *equals, worse, broken])
    decision = strategy.decide(history, SCORED)
    assert isinstance(decision, Mutate)
    assert decision.varied == (equals[-1].ref,)
    assert set(decision.parents) <= {START.ref, copy.ref}, "a model is not asked to change it"
    better = variant(3, 1, "better", equals[-1], 1.5)
    decision = strategy.decide(past([START], [copy, *equals, worse, broken], [better]), SCORED)
    assert isinstance(decision, Mutate)
    assert decision.varied == (better.ref,)


@pytest.mark.parametrize("strategy", [Evolve(), Climb()])
def test_what_was_refused_since_the_mutation_before_is_repaired_without_a_model(strategy: Strategy) -> None:
    def of_start(number: int, slot: int, text: str, operator: Operator, **fields: Any) -> Candidate:
        return one(number, text, slot=slot, operator=operator, root=START.ref, parent=START.ref, revision=1, **fields)

    mutate, revise = Operator.MUTATE, Operator.REVISE
    older = of_start(2, 0, "older", mutate)
    refused = [of_start(3, slot, f"refused {slot}", mutate) for slot in range(2)]
    hung, empty = of_start(3, 2, "hung", mutate, seconds=11.0), of_start(3, 3, " ", mutate)
    repairs = [of_start(number, 0, f"repair {number}", revise) for number in (4, 5, 6)]
    tried = variant(3, 4, "variant", START)
    history = past([START], [older], [*refused, hung, empty, tried], *([repair] for repair in repairs))
    decision = strategy.decide(history, SCORED)
    assert isinstance(decision, Mutate)
    assert decision.varied == (START.ref, refused[1].ref, *(repair.ref for repair in repairs))
    best = one(7, "best", 2.0, operator=mutate, root=START.ref, parent=START.ref, revision=1)
    decision = strategy.decide((*history, *past(*[[best]] * 7)[6:]), SCORED)
    assert isinstance(decision, Mutate)
    assert decision.varied == (best.ref,), "each has its turn once"


def test_the_log_says_how_many_variants_of_which_candidate() -> None:
    move = Mutate(parents=(START.ref,), varied=(START.ref,), variants=3, why="1 islands")
    assert describe(move) == "mutate (1.0; 3 variants of 1.0): 1 islands"
    broken = dataclasses.replace(move, varied=(START.ref, CandidateRef(iteration=2, slot=1)))
    assert describe(broken) == "mutate (1.0; 3 variants of 1.0, 2.1): 1 islands"


def test_a_variant_is_a_parent_only_where_it_is_better_and_is_never_repaired() -> None:
    worse, equal, better = (variant(2, n, f"text {n}", START, fitness) for n, fitness in enumerate((0.5, 1.0, 1.5), 1))
    broken = variant(2, 4, "text 4", START)
    changed = one(2, "a change", operator=Operator.MUTATE, root=START.ref, parent=START.ref, revision=1)
    history = past([START], [changed, worse, equal, better, broken])
    assert [candidate.ref for candidate in valid(history, SCORED)] == [START.ref, better.ref]
    assert children(history)[START.ref] == 1, "what the model made of it"
    decision = Evolve().decide(history, SCORED)
    assert isinstance(decision, Revise), "the model's own change was in vain, whatever came of the variants"
    assert decision.parents == (changed.ref,)


class Author:
    """Stands for a journalled model: writes the same change each time, and keeps what it was asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.prompts: list[str] = []
        self.runs_on: list[bool] = []

    def ask(self, turn: Any, key: CallKey, build: Any, *, runs_on: bool = False, **rest: Any) -> Completion:
        self.prompts.append(build(WHOLE)[-1].content)
        self.runs_on.append(runs_on)
        return Completion(
            text=self.text, finish_reason="stop", model="m", prompt_tokens=1, cached_tokens=0, completion_tokens=1,
            seconds=0.1,
        )  # fmt: skip


def attempt(job: Job, move: Mutate | Revise, author: Author) -> tuple[Candidate, ...]:
    operators = Operators(model=author, cloud=NoCloud())  # type: ignore[arg-type]
    return operators.attempt(turn_of(job), OpenIteration(number=len(job.history) + 1, move=move))


def test_variants_stand_beside_the_changes_each_new_to_the_job() -> None:
    job = dataclasses.replace(job_of(checks=(SCORE,)), history=past([START]))
    move = Mutate(parents=(START.ref, START.ref), varied=(START.ref,), variants=3)
    first = attempt(job, move, Author("changed"))
    assert [(c.ref.slot, c.operator) for c in first] == [
        (0, Operator.MUTATE), (1, Operator.MUTATE), (2, Operator.VARY), (3, Operator.VARY), (4, Operator.VARY),
    ]  # fmt: skip
    assert [c.text for c in first[2:]] == [PROGRAM.replace("0.5", near) for near in ("0.55", "0.45", "0.515")]
    assert {(c.parent, c.root, c.revision) for c in first[2:]} == {(START.ref, START.root, 1)}
    assert attempt(job, move, Author("changed")) == first, "another worker makes the same ones"
    later = attempt(dataclasses.replace(job, history=past([START], first)), move, Author("changed"))
    assert not {c.text for c in later[2:]} & {c.text for c in first[2:]}


def test_variants_of_the_best_and_repairs_of_what_was_refused_come_by_turns() -> None:
    text = "def rate():\n    value = 0.5\n    print(values)\n    return value"
    broken = one(2, text, operator=Operator.MUTATE, root=START.ref, parent=START.ref, revision=1)
    job = dataclasses.replace(job_of(checks=(SCORE,)), history=past([START], [broken]))
    move = Mutate(parents=(START.ref,), varied=(START.ref, broken.ref), variants=4)
    _, *found = attempt(job, move, Author("changed"))
    assert [(c.ref.slot, c.parent, c.operator) for c in found] == [
        (slot, parent, Operator.VARY) for slot, parent in enumerate((START.ref, broken.ref) * 2, 1)
    ]
    assert [c.text for c in found[1::2]] == [
        "def rate():\n    value = 0.5\n    return value", "def rate():\n    print(values)\n    return value",
    ]  # fmt: skip
    assert {c.revision for c in found[1::2]} == {2}


def test_two_refused_answers_that_are_repaired_alike_are_measured_once() -> None:
    broken = [
        one(
            2,
            f"def rate():\n    print(values{slot})\n    return 0.7",
            slot=slot,
            operator=Operator.MUTATE,
            root=START.ref,
        )
        for slot in range(2)
    ]
    job = dataclasses.replace(job_of(checks=(SCORE,)), history=past([START], broken))
    move = Mutate(parents=(START.ref,), varied=tuple(one.ref for one in broken), variants=9)
    _, *found = attempt(job, move, Author("changed"))
    assert [(c.parent, c.text) for c in found] == [(broken[0].ref, "def rate():\n    return 0.7")]


def test_variants_that_were_tried_are_no_changes_that_a_model_is_told_of() -> None:
    history = past([START], [variant(2, 1, "def rate():\n    return 77\n", START, 0.5)])
    author = Author("changed")
    attempt(dataclasses.replace(job_of(checks=(SCORE,)), history=history), Mutate(parents=(START.ref,)), author)
    assert "tried before" not in author.prompts[0]
    assert "Change 1 of this answer" in author.prompts[0]


@pytest.mark.parametrize("move", [Mutate, Revise])
def test_what_is_made_of_an_answer_that_repeats_itself_may_repeat_itself(move: type[Mutate | Revise]) -> None:
    rows = "\n".join(["[0, 1], [2, 3], [4, 5], [6, 7],", "[1, 2], [3, 4], [5, 6],"] * 12)
    for text, expected in ((rows, True), (PROGRAM, False)):
        author = Author(text)
        job = dataclasses.replace(job_of(checks=(SCORE,)), history=past([dataclasses.replace(START, text=text)]))
        attempt(job, move(parents=(START.ref,)), author)
        assert author.runs_on[-1] is expected
