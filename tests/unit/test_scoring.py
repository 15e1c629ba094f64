"""Jobs with a score: fitness, the incumbent and its noise, and how such a job ends."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.policy import (
    Aggregation,
    BestOfN,
    Correct,
    Ladder,
    SelfConsistency,
    Single,
    conclude,
    plateau,
    reached,
    repeated,
    settled,
)
from tasks.ports import Strategy
from tasks.scoring import best_of, deciding, fitness_of, goal_of, incumbents, is_better, reaches, unheard, value_of
from tasks.types import (
    Acceptance,
    Aggregate,
    Budget,
    Candidate,
    CandidateRef,
    CheckSpec,
    Decision,
    Draft,
    Goal,
    GuardKind,
    Iteration,
    Limits,
    Operator,
    Revise,
    Spend,
    Stop,
    StopCode,
    Verdict,
    operator_of,
)

ITERATIONS = 20


def score(*, held_out: bool = False, **options: Any) -> CheckSpec:
    name = "score:hidden.py" if held_out else "score:open.py"
    return CheckSpec(name=name, kind="score", value={"goal": "maximise", **options}, held_out=held_out)


def verdict(value: float | None, *, held_out: bool = False) -> Verdict:
    name = "score:hidden.py" if held_out else "score:open.py"
    passed = value is not None
    return Verdict(check=name, kind="score", passed=passed, score=float(passed), held_out=held_out, value=value)


def candidate(iteration: int, fitness: float | None, slot: int = 0, **fields: Any) -> Candidate:
    ref = CandidateRef(iteration=iteration, slot=slot)
    defaults: dict[str, Any] = {
        "operator": Operator.DRAFT,
        "text": f"candidate {ref}",
        "root": ref,
        "revision": 0,
        "score": float(fitness is not None),
        "accepted": fitness is not None,
        "verdicts": (verdict(fitness),),
    }
    return Candidate(ref=ref, fitness=fitness, **{**defaults, **fields})


def history(*rounds: Sequence[float | None]) -> list[Iteration]:
    return [
        Iteration(
            number=number,
            operator=Operator.DRAFT,
            candidates=tuple(candidate(number, fitness, slot) for slot, fitness in enumerate(one)),
        )
        for number, one in enumerate(rounds, 1)
    ]


def limits(goal: Goal | None = None, **fields: Any) -> Limits:
    budget = Budget(usd=Decimal(1), hours=4, iterations=ITERATIONS, tokens=1_000_000)
    return Limits(**{"budget": budget, "spend": Spend(), "hours": 0.0, "width": 2, "goal": goal or Goal(), **fields})


def test_the_held_out_score_decides_and_minimising_turns_its_sign() -> None:
    checks = [score(goal="maximise"), score(held_out=True, goal="minimise", target=2, noise=0.5)]
    assert deciding(checks) == checks[1]
    assert goal_of(checks) == Goal(target=-2.0, noise=0.5)
    verdicts = (verdict(9.0), verdict(2.5, held_out=True))
    assert fitness_of(verdicts, checks) == -2.5
    assert value_of(candidate(1, -2.5, verdicts=verdicts)) == 2.5
    assert fitness_of((verdict(9.0),), checks) is None, "the score that decides has not run"
    assert value_of(candidate(1, None, verdicts=verdicts)) is None, "a check refused it"


def test_a_job_without_a_score_has_no_goal() -> None:
    checks = [CheckSpec(name="command:a.sh", kind="command", value=["./a.sh"])]
    assert deciding(checks) is None
    assert goal_of(checks) is None
    assert fitness_of((), checks) is None


def test_an_option_about_the_end_belongs_to_the_score_that_decides() -> None:
    hidden = score(held_out=True, target=2, noise=0.5)
    assert unheard([score(), hidden]) is None
    assert unheard([score(noise=0.0, target=None), hidden]) is None
    assert unheard([score(target=0), hidden]) == (0, "target", 0)
    assert unheard([score(), score(plateau={"iterations": 2})]) == (1, "plateau", {"iterations": 2})
    assert unheard([CheckSpec(name="answer", kind="answer", value={"exact": "3"})]) is None


def test_a_plateau_is_part_of_the_goal() -> None:
    wanted = goal_of([score(plateau={"iterations": 8, "improvement": 0.01})])
    assert wanted == Goal(plateau_iterations=8, plateau_improvement=0.01)


@pytest.mark.parametrize(
    ("target", "fitness", "there"), [(None, -9.0, True), (None, None, False), (2.0, 2.0, True), (2.0, 1.9, False)]
)
def test_a_target_is_reached_at_its_own_value(target: float | None, fitness: float | None, there: bool) -> None:
    assert reaches(fitness, Goal(target=target)) is there


@pytest.mark.parametrize(
    ("new", "old", "noise", "better"),
    [
        (-3.0, -4.0, 0.0, True),
        (-4.0, -3.0, 0.0, False),
        (1.0, 1.0, 0.0, False),
        (1.4, 1.0, 0.5, False),
        (1.5, 1.0, 0.5, False),
        (1.6, 1.0, 0.5, True),
        (-100.0, None, 0.5, True),
        (None, -100.0, 0.0, False),
    ],
)
def test_an_incumbent_is_beaten_only_beyond_the_noise(
    new: float | None, old: float | None, noise: float, better: bool
) -> None:
    assert is_better(candidate(2, new), candidate(1, old), noise) is better


def test_a_degenerate_candidate_beats_nothing() -> None:
    assert not is_better(candidate(1, 5.0, guard=GuardKind.CYCLE), None)


def test_a_candidate_that_reached_the_target_beats_one_within_the_noise_that_did_not() -> None:
    assert is_better(candidate(2, 2.0), candidate(1, 1.9, accepted=False), 0.5)


def test_of_equal_candidates_the_first_slot_is_the_best() -> None:
    best = best_of([candidate(1, 3.0, 0), candidate(1, 3.0, 1), candidate(1, None, 2)])
    assert best is not None
    assert best.ref.slot == 0


fitnesses = st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float))


@given(st.lists(st.lists(fitnesses, max_size=3), max_size=12), st.floats(0, 2))
def test_the_incumbent_is_never_worse_than_before(rounds: list[list[float | None]], noise: float) -> None:
    after = incumbents(history(*rounds), noise)
    assert len(after) == len(rounds)
    for before, now in itertools.pairwise(after):
        if before is not None and now != before:
            assert now is not None
            assert now.rank > before.rank
            assert before.fitness is None or (now.fitness or 0.0) > before.fitness + noise


@given(st.lists(st.lists(fitnesses, min_size=1, max_size=3), min_size=1, max_size=12), st.integers(0, 11))
def test_the_incumbent_is_the_same_wherever_a_crash_has_cut_the_history(
    rounds: list[list[float | None]], cut: int
) -> None:
    """What a new worker finds after a crash is a prefix, from which it goes on as if nothing had been."""
    made = history(*rounds)
    assert incumbents(made)[: cut + 1] == incumbents(made[: cut + 1])


def test_without_noise_the_incumbent_is_the_first_of_the_greatest() -> None:
    best = incumbents(history([-5.0], [-2.0], [-2.0], [None], [-3.0]))[-1]
    assert best is not None
    assert (best.ref.iteration, best.fitness) == (2, -2.0)


def test_a_target_ends_the_job_with_the_best_that_reached_it() -> None:
    goal = Goal(target=4.0)
    assert reached(history([1.0], [3.9]), goal) is None
    made = history([1.0], [4.5, 5.0])
    below = tuple(replace(c, accepted=False) for c in made[0].candidates)
    end = reached([replace(made[0], candidates=below), made[1]], goal)
    assert end == Stop(code=StopCode.ACCEPTED, detail="2.1", acceptance=Acceptance.VERIFIED, value=5.0)


def test_a_plateau_counts_iterations_with_candidates_since_the_last_gain() -> None:
    goal = Goal(plateau_iterations=3, plateau_improvement=0.5)
    assert plateau(history([1.0], [2.0], [2.1], [2.2]), goal) is None
    end = plateau(history([1.0], [2.0], [2.1], [2.2], [2.5]), goal)
    assert end == Stop(code=StopCode.PLATEAU, used=3, detail="0.5")
    assert plateau(history([None], [None], [None], [None], [None]), goal) is None, "nothing valid, nothing to stand on"
    assert plateau(history([1.0], [2.0], [2.1], [], [2.2]), goal) is None, "a probe is no try"
    assert plateau(history([1.0], [1.0], [1.0], [1.0]), Goal()) is None


def test_a_gain_within_the_noise_is_none() -> None:
    goal = Goal(noise=0.3, plateau_iterations=2)
    assert plateau(history([1.0], [1.1], [1.2]), goal) is not None
    assert plateau(history([1.0], [1.1], [1.4]), goal) is None


def test_a_job_goes_on_after_a_valid_candidate_and_after_the_clouds_answer() -> None:
    made = history([1.0], [None])
    asked = Iteration(number=3, operator=Operator.ESCALATE, candidates=(candidate(3, None),))
    assert conclude([*made, asked], limits()) is None
    assert conclude([*made, asked], limits(decisive=True)) is None


def test_without_a_target_a_spent_budget_accepts_the_best() -> None:
    spent = Stop(code=StopCode.BUDGET_ITERATIONS, used=20, limit=20)
    end = settled(spent, history([1.0], [3.0], [2.0]), limits())
    assert (end.code, end.detail, end.value, end.ended_by) == (
        StopCode.ACCEPTED, "2.0", 3.0, StopCode.BUDGET_ITERATIONS,
    )  # fmt: skip
    assert settled(spent, history([None]), limits()) == spent, "nothing valid"
    assert settled(spent, history([1.0]), limits(Goal(target=9.0))) == spent, "the target was not reached"
    cancelled = Stop(code=StopCode.CANCELLED)
    assert settled(cancelled, history([1.0]), limits()) == cancelled
    assert settled(spent, history([1.0]), replace(limits(), goal=None)) == spent


def test_whichever_candidate_a_strategy_accepts_the_answer_is_the_best() -> None:
    made = history([1.0], [3.0, 2.0], [2.5])
    first, best, unknown = (Stop(code=StopCode.ACCEPTED, detail=ref) for ref in ("1.0", "2.0", "9.0"))
    for goal in (Goal(), Goal(target=0.5)):
        end = settled(first, made, limits(goal))
        assert (end.detail, end.value) == ("2.0", 3.0)
        assert settled(best, made, limits(goal)) == best
        assert settled(unknown, made, limits(goal)) == unknown, "the loop refuses what no check accepted"


def test_programs_that_do_the_same_are_no_repetitions_where_they_have_a_score() -> None:
    quick = candidate(1, 2.0, text="quick", behaviour="b", accepted=False)
    slow = candidate(2, 1.0, text="slow", behaviour="b", accepted=False)
    assert repeated(slow, [quick], executable=False) is None
    again = replace(slow, text="quick")
    assert repeated(again, [quick], executable=False) == quick.ref


def play(
    strategy: Strategy, goal: Goal, values: Sequence[float | None], width: int = 2
) -> tuple[list[Iteration], Stop]:
    """Runs a strategy to its end; the n-th candidate has the n-th value, again and again."""
    made: list[Iteration] = []
    known: dict[CandidateRef, Candidate] = {}
    given = limits(goal, width=width)
    taken = 0
    while True:
        decision: Decision = strategy.decide(made, given)
        parents: list[Candidate | None]
        match decision:
            case Stop():
                return made, settled(decision, made, given)
            case Draft(slots=slots):
                parents = [None] * slots
            case Revise(parents=refs):
                parents = [known[ref] for ref in refs]
            case Aggregate(slots=slots):
                parents = [None] * slots
            case other:
                raise AssertionError(f"{other} in a job with a score")
        assert parents
        number, candidates = len(made) + 1, []
        for slot, parent in enumerate(parents):
            fitness = values[taken % len(values)]
            taken += 1
            new = candidate(number, fitness, slot, operator=operator_of(decision), text=f"try {taken} word{taken * 7}")
            accepted = fitness is not None and reaches(fitness, goal)
            new = replace(new, accepted=accepted)
            if parent is not None:
                new = replace(new, root=parent.root, revision=parent.revision + 1, parent=parent.ref)
            candidates.append(new)
            known[new.ref] = new
        made.append(Iteration(number=number, operator=operator_of(decision), candidates=tuple(candidates)))
        assert len(made) <= ITERATIONS


SEARCHING = (BestOfN(), SelfConsistency(), Correct(), Aggregation(), Ladder())


@pytest.mark.parametrize("strategy", SEARCHING, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("values", [[1.0], [None, -3.0, -2.0], [0.5, 0.5, None]])
def test_every_strategy_searches_until_the_budget_is_spent(strategy: Strategy, values: list[float | None]) -> None:
    made, end = play(strategy, Goal(), values)
    assert len(made) == ITERATIONS
    assert (end.code, end.ended_by) == (StopCode.ACCEPTED, StopCode.BUDGET_ITERATIONS)
    assert end.value == max(value for value in values if value is not None)


@pytest.mark.parametrize("strategy", SEARCHING, ids=lambda strategy: strategy.name)
def test_every_strategy_stops_where_the_score_stands_still(strategy: Strategy) -> None:
    made, end = play(strategy, Goal(plateau_iterations=4), [1.0])
    assert (len(made), end.code, end.ended_by) == (5, StopCode.ACCEPTED, StopCode.PLATEAU)
    made, end = play(strategy, Goal(target=2.0, plateau_iterations=4), [1.0])
    assert (len(made), end.code) == (5, StopCode.PLATEAU)


@pytest.mark.parametrize("strategy", [Single(), *SEARCHING], ids=lambda strategy: strategy.name)
def test_every_strategy_stops_at_the_target(strategy: Strategy) -> None:
    made, end = play(strategy, Goal(target=1.0), [1.5])
    assert (len(made), end.code, end.value, end.ended_by) == (1, StopCode.ACCEPTED, 1.5, None)


def test_one_draft_is_accepted_where_it_is_valid() -> None:
    assert play(Single(), Goal(), [-7.0])[1].value == -7.0
    assert play(Single(), Goal(target=0.0), [-7.0])[1].code is StopCode.DRAFT_REJECTED
    assert play(Single(), Goal(), [None])[1].code is StopCode.DRAFT_REJECTED


@pytest.mark.parametrize("seed", range(5))
def test_fewer_than_one_in_a_hundred_equal_candidates_passes_for_a_better_one(seed: int) -> None:
    """400 jobs of 25 candidates with the same true value of 1, measured with 10 % noise, of which four times counts."""
    draw, replaced, jobs, width = Random(seed), 0, 400, 25
    for _ in range(jobs):
        after = incumbents(history(*([draw.gauss(1.0, 0.1)] for _ in range(width))), noise=0.4)
        replaced += len({best.ref for best in after if best is not None}) - 1
    assert replaced <= 0.01 * jobs * width


def test_a_true_gain_is_seen_through_the_noise() -> None:
    draw = Random(7)
    made = history(*([draw.gauss(1.0 + (number >= 10), 0.1)] for number in range(20)))
    best = incumbents(made, noise=0.4)[-1]
    assert best is not None
    assert best.ref.iteration > 10


def test_the_noise_of_a_score_that_does_not_decide_is_unheard() -> None:
    assert unheard([score(noise=0.5), score(held_out=True)]) == (0, "noise", 0.5)


def test_a_value_is_a_scores_alone() -> None:
    other = replace(verdict(3.0), kind="command", check="command:x", held_out=True)
    assert value_of(candidate(1, 2.0, verdicts=(verdict(2.0), other))) == 2.0


def test_without_a_noise_the_least_gain_counts() -> None:
    worse, better = candidate(1, 2.0), candidate(2, 2.25)
    assert is_better(better, worse)
    rounds = [
        Iteration(number=one.ref.iteration, operator=Operator.DRAFT, candidates=(one,)) for one in (worse, better)
    ]
    assert incumbents(rounds) == (worse, better)


def test_the_best_of_an_iteration_is_the_one_that_a_stop_names_and_never_degenerate() -> None:
    low, high = candidate(1, 1.0), candidate(1, 2.0, slot=1)
    assert best_of([low, high]) == high
    assert best_of([low, high], chosen=str(low.ref)) == low
    assert best_of([high, low], chosen="9.9") == high
    cut = candidate(1, None, slot=2, guard=GuardKind.CYCLE, score=0.9)
    whole = candidate(1, None, slot=3, score=0.1)
    assert best_of([cut, whole]) == whole
