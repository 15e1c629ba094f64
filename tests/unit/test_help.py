"""When a job asks a stronger model for help, and for what: each rule at its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tasks.policy import (
    Aggregation,
    BestOfN,
    Climb,
    Correct,
    SelfConsistency,
    helped,
    impossible,
    no_gain,
    reasons,
    rung,
)
from tasks.types import (
    Aggregate,
    Candidate,
    CandidateRef,
    Decision,
    Draft,
    Egress,
    Escalate,
    EscalationKind,
    Goal,
    GuardKind,
    HelpRules,
    Iteration,
    Limits,
    Operator,
    Probe,
    Revise,
    Stop,
    StopCode,
)
from tests.unit.test_decisions import LIMITS, draft, past, revision

ANEW = Draft(slots=2, restart=True, why="3 revisions failed")
STOP = Stop(code=StopCode.NO_GAIN, used=10, detail="0.50")
NEVER = HelpRules(fresh_starts=99, without_gain=99, loops=99, objections=99, hint_iterations=99)
ALLOWED = replace(LIMITS, egress=Egress.FULL, escalate_after=99, help=NEVER)


def then(history: Sequence[Iteration], operator: Operator, *made: Candidate, hint: str = "") -> list[Iteration]:
    """The history with one more iteration."""
    return [*history, Iteration(number=len(history) + 1, operator=operator, candidates=made, hint=hint)]


def failing(iterations: int, operator: Operator = Operator.DRAFT, first: int = 1) -> list[Iteration]:
    """Iterations of one candidate each, none of which is better than the one before."""
    return [
        Iteration(number=n, operator=operator, candidates=(draft(n, score=0.5),))
        for n in range(first, first + iterations)
    ]


def asked(limits: Limits, history: Sequence[Iteration], otherwise: Decision = ANEW) -> str | None:
    """Why help is asked for; None where it is not."""
    decision = helped(history, limits, otherwise)
    return decision.why if isinstance(decision, Escalate) else None


def test_help_is_asked_for_after_enough_rejected_iterations() -> None:
    limits = replace(ALLOWED, escalate_after=4)
    assert asked(limits, failing(3)) is None
    assert asked(limits, failing(4)) == "4 iterations were rejected"


def test_help_is_asked_for_after_enough_fresh_starts() -> None:
    limits = replace(ALLOWED, help=replace(NEVER, fresh_starts=2))
    history = then(failing(2), Operator.RESTART, draft(3))
    assert asked(limits, history) is None
    assert asked(limits, then(history, Operator.RESTART, draft(4))) == "2 fresh starts failed"


def test_help_is_asked_for_where_no_iteration_brings_a_better_score() -> None:
    limits = replace(ALLOWED, help=replace(NEVER, without_gain=3))
    assert asked(limits, failing(3)) is None
    assert asked(limits, failing(4)) == "no better score in 3 iterations"
    better = then(failing(4), Operator.REVISE, draft(5, score=0.75))
    assert asked(limits, better) is None
    assert asked(limits, [*better, *failing(3, first=6)]) == "no better score in 3 iterations"


def test_a_better_value_within_the_noise_of_a_score_is_none_and_half_a_plateau_is_enough() -> None:
    rules = replace(NEVER, without_gain=4)
    values = (1.0, 1.05, 1.06)
    history = past(*([draft(n, fitness=value)] for n, value in enumerate(values, 1)))
    noisy = replace(ALLOWED, help=rules, goal=Goal(noise=0.1, plateau_iterations=5))
    assert asked(noisy, history) == "no better score in 2 iterations"
    assert asked(replace(noisy, goal=Goal(plateau_iterations=5)), history) is None
    assert asked(replace(noisy, goal=Goal(noise=0.1)), history) is None


def test_help_is_asked_for_where_the_model_falls_into_loops_again_and_again() -> None:
    limits = replace(ALLOWED, help=replace(NEVER, loops=2))
    loop = draft(1, guard=GuardKind.CYCLE)
    once = then(failing(2), Operator.DRAFT, loop, loop)
    assert asked(limits, then(once, Operator.DRAFT, loop, draft(4, 1))) is None
    assert asked(limits, then(once, Operator.DRAFT, loop)) == "2 iterations brought nothing but loops"


def test_help_is_asked_for_where_reviews_of_several_lineages_object() -> None:
    limits = replace(ALLOWED, help=replace(NEVER, objections=2))
    one, other = draft(1), draft(2)
    history = past([one], [other], [revision(one, 3, objection="`odd` and `even`")], [revision(one, 4, objection="x")])
    assert asked(limits, history) is None
    objected = then(history, Operator.REVISE, revision(other, 5, objection="`odd` and `even`"))
    assert asked(limits, objected) == "the reviews of 2 lineages found the problem impossible as posed"


def test_the_reason_names_every_rule_that_holds() -> None:
    limits = replace(ALLOWED, escalate_after=3, help=replace(NEVER, fresh_starts=1, without_gain=2))
    history = then(failing(2), Operator.RESTART, draft(3, score=0.5))
    why = "3 iterations were rejected; 1 fresh starts failed; no better score in 2 iterations"
    assert asked(limits, history) == why
    assert "; ".join(reasons(history, limits)) == why


@pytest.mark.parametrize(
    "cheaper",
    [
        Draft(slots=2),
        Revise(parents=()),
        Aggregate(parents=(), slots=2),
        Probe(),
    ],
)
def test_what_goes_on_with_what_there_is_comes_before_help(cheaper: Decision) -> None:
    assert helped(failing(9), replace(ALLOWED, escalate_after=1), cheaper) == cheaper


def test_a_strategy_that_repairs_asks_only_when_no_lineage_is_worth_another_repair() -> None:
    limits = replace(LIMITS, width=1, egress=Egress.FULL, escalate_after=1)
    one = draft(1)
    repaired = past([one], [revision(one, 2)])
    assert isinstance(Correct().decide(repaired, limits), Revise)
    history = then(repaired, Operator.REVISE, revision(one, 3))  # the same critique for the third time
    assert Correct().decide(history, limits) == Escalate(kind=EscalationKind.HINT, why="3 iterations were rejected")


def test_an_end_asks_for_help_whatever_the_rules_say_and_keeps_its_reason() -> None:
    why = "no better score than 0.50 came in 10 iterations, over several fresh starts"
    assert asked(ALLOWED, failing(1), STOP) == why
    assert helped(failing(1), replace(ALLOWED, egress=Egress.NEVER), STOP) == STOP


def test_the_rungs_are_two_hints_then_an_answer_then_none_whatever_came_of_them() -> None:
    history, kinds = failing(1), []
    while (kind := rung(history, ALLOWED)) is not None:
        kinds.append(kind)
        history = then(history, Operator.HINT if kind.is_hint else Operator.ESCALATE)
    assert kinds == [EscalationKind.HINT, EscalationKind.HINT_ON_BEST, EscalationKind.ANSWER]


@pytest.mark.parametrize(
    ("egress", "hints", "rungs"),
    [(Egress.NEVER, 2, 0), (Egress.HINT, 2, 2), (Egress.HINT, 0, 0), (Egress.FULL, 0, 1), (Egress.FULL, 1, 2)],
)
def test_how_much_may_leave_limits_the_rungs(egress: Egress, hints: int, rungs: int) -> None:
    limits, history = replace(ALLOWED, egress=egress, help=replace(NEVER, hints=hints)), failing(1)
    while (kind := rung(history, limits)) is not None:
        history = then(history, Operator.HINT if kind.is_hint else Operator.ESCALATE)
    assert len(history) == 1 + rungs


def test_after_a_hint_the_local_model_has_its_iterations_before_more_is_asked_for() -> None:
    limits = replace(ALLOWED, escalate_after=3, help=replace(NEVER, hint_iterations=2))
    hinted = then(failing(3), Operator.HINT, hint="Sort first.")
    assert helped(hinted, limits, ANEW) == ANEW
    assert helped([*hinted, *failing(1, first=5)], limits, ANEW) == ANEW
    assert helped([*hinted, *failing(2, first=5)], limits, ANEW) == Escalate(
        kind=EscalationKind.HINT_ON_BEST, why="2 iterations were rejected since help came"
    )


def test_rules_count_from_the_last_help_on() -> None:
    rules = replace(NEVER, fresh_starts=1, without_gain=1, loops=1, objections=1)
    limits = replace(ALLOWED, help=rules)
    spoilt = [draft(1, objection="x"), draft(1, 1, guard=GuardKind.CYCLE)]
    history = [
        *past(spoilt, spoilt),
        Iteration(number=3, operator=Operator.RESTART, candidates=(draft(3, guard=GuardKind.CYCLE),)),
        Iteration(number=4, operator=Operator.HINT, candidates=()),
    ]
    assert len(tuple(reasons(history[:3], limits))) == 4
    assert tuple(reasons(history, limits)) == ()


def test_a_hint_gives_a_job_that_would_end_another_beginning_and_one_that_never_came_does_not() -> None:
    worn = [*failing(10), *failing(16, Operator.RESTART, first=11)]
    assert no_gain(worn) is not None
    assert no_gain(then(worn, Operator.HINT, hint="Sort first.")) is None
    assert no_gain(then(worn, Operator.HINT)) is not None
    one, other = draft(1), draft(2)
    objected = past([one, other], [revision(one, 2, objection="x"), revision(other, 2, objection="x")])
    assert impossible(objected) is not None
    assert impossible(then(objected, Operator.HINT, hint="It is possible.")) is None


def test_strategies_that_compare_or_count_alone_never_ask() -> None:
    limits = replace(LIMITS, egress=Egress.FULL, escalate_after=1, budget=replace(LIMITS.budget, iterations=99))
    for strategy in (BestOfN(), SelfConsistency(), Climb()):
        assert not isinstance(strategy.decide(failing(40), limits), Escalate)


def test_an_aggregation_asks_where_it_would_begin_anew() -> None:
    limits = replace(LIMITS, egress=Egress.HINT, escalate_after=2, budget=replace(LIMITS.budget, iterations=99))
    refs = [CandidateRef(iteration=1, slot=slot) for slot in range(4)]
    population = [draft(1, slot) for slot in range(4)]
    history = past(population, [replace(draft(2), text=population[0].text, repeats=refs[0])])
    decision = Aggregation().decide([history[0], replace(history[1], operator=Operator.AGGREGATE)], limits)
    assert decision == Escalate(kind=EscalationKind.HINT, why="2 iterations were rejected")


def test_help_whose_provider_is_away_is_gone_without_and_the_fresh_start_says_so() -> None:
    limits = replace(ALLOWED, escalate_after=4, away={EscalationKind.HINT: "near:8000"})
    said = f"{ANEW.why}; no hint, for near:8000 is away"
    assert helped(failing(4), limits, ANEW) == replace(ANEW, why=said)
    assert helped(failing(3), limits, ANEW) == ANEW
    assert helped(failing(4), limits, STOP) == STOP


def test_while_hints_are_away_no_answer_is_asked_for_in_their_place() -> None:
    limits = replace(ALLOWED, escalate_after=2, away=dict.fromkeys((EscalationKind.ANSWER,), "far"))
    assert isinstance(helped(failing(4), limits, ANEW), Escalate)
    hinted = then(failing(4), Operator.HINT, hint="Count the ends.")
    hinted = then(hinted, Operator.HINT, hint="Both of them.")
    rules = replace(NEVER, hint_iterations=1)
    later = then(hinted, Operator.DRAFT, draft(7, score=0.5))
    assert helped(later, replace(limits, help=rules), ANEW) == replace(
        ANEW, why=f"{ANEW.why}; no answer, for far is away"
    )
