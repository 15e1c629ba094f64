"""Single decisions of the policy, each at its limit: what one step more or less would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tasks import policy
from tasks.deadline import Deadline
from tasks.policy import BestOfN, Correct, Single
from tasks.types import (
    Acceptance,
    Budget,
    Candidate,
    CandidateRef,
    CheckSpec,
    Draft,
    Egress,
    Escalate,
    GuardKind,
    HelpRules,
    Iteration,
    Job,
    JobSpec,
    JobState,
    Lane,
    Limits,
    OpenIteration,
    Operator,
    Revise,
    Spend,
    Stop,
    StopCode,
    Verdict,
)
from tests.turns import StoppedClock

LIMITS = Limits(budget=Budget(usd=Decimal(3), hours=2.5, iterations=7, tokens=9_000), spend=Spend(), hours=0.0, width=2)


def verdict(*, passed: bool = False, kind: str = "python", feedback: str = "no", **fields: object) -> Verdict:
    return Verdict(check=f"{kind}:x", kind=kind, passed=passed, score=float(passed), feedback=feedback, **fields)  # type: ignore[arg-type]


def draft(iteration: int, slot: int = 0, score: float = 0.0, **fields: object) -> Candidate:
    ref = CandidateRef(iteration=iteration, slot=slot)
    values: dict[str, object] = {"operator": Operator.DRAFT, "text": f"{iteration} {slot}", "verdicts": (verdict(),)}
    return Candidate(ref=ref, root=ref, score=score, **{**values, **fields})  # type: ignore[arg-type]


def revision(of: Candidate, iteration: int, score: float = 0.0, **fields: object) -> Candidate:
    made = draft(iteration, of.ref.slot, score, operator=Operator.REVISE, **fields)
    return replace(made, root=of.root, revision=of.revision + 1, parent=of.ref)


def past(*iterations: Sequence[Candidate], operator: Operator = Operator.DRAFT) -> list[Iteration]:
    return [Iteration(number=n, operator=operator, candidates=tuple(i)) for n, i in enumerate(iterations, 1)]


def words(number: int) -> str:
    """A text that shares no phrase with that of another number."""
    return " ".join(f"w{number}x{n}" for n in range(40))


def test_single_drafts_one_and_ends_unsolved_or_accepted() -> None:
    assert Single().decide([], LIMITS) == Draft(slots=1)
    failed = Single().decide(past([draft(1)]), LIMITS)
    assert failed == Stop(code=StopCode.DRAFT_REJECTED)
    done = Single().decide(past([draft(1, accepted=True)]), LIMITS)
    assert isinstance(done, Stop)
    assert done.state is JobState.ACCEPTED


def test_best_of_n_drafts_its_width_until_the_last_iteration() -> None:
    history = past(*([draft(n)] for n in range(1, 8)))
    assert BestOfN().decide(history[:6], LIMITS) == Draft(slots=2)
    assert isinstance(BestOfN().decide(history, LIMITS), Stop)


def test_the_best_lineages_are_revised_no_more_than_the_width_and_the_newest_of_equals() -> None:
    scores = [0.2, 0.9, 0.4, 0.4]
    history = past([draft(1, slot, score, text=words(slot)) for slot, score in enumerate(scores)])
    decision = Correct().decide(history, LIMITS)
    assert decision == Revise(parents=(CandidateRef(iteration=1, slot=1), CandidateRef(iteration=1, slot=3)))


def test_a_lineage_is_revised_from_its_best_candidate_the_newest_of_equals_and_no_degenerate_one() -> None:
    first = draft(1, score=0.5, text=words(1))
    second = revision(first, 2, 0.5, text=words(2))
    third = revision(second, 3, 0.3, text=words(3))
    degenerate = revision(second, 4, 1.0, guard=GuardKind.CYCLE)
    assert policy.head([first, second, third, degenerate]) is second
    assert policy.head([first, third]) is first


def test_a_fresh_start_says_each_reason_once_in_order() -> None:
    looping = draft(1, 0, text="the same words")
    ran_out = draft(1, 1, text=words(9))
    history = past([looping, ran_out], [revision(looping, 2, text="the same words")])
    for number in range(2, 5):
        failed = revision(ran_out, number, text=words(number), verdicts=(verdict(feedback=str(number)),))
        history[number - 1 :] = past([failed] if number > 2 else [*history[1].candidates, failed])
    decision = Correct().decide(history, LIMITS)
    assert decision == Draft(slots=2, restart=True, why="3 revisions failed; a revision changed next to nothing")
    nothing = past([draft(1, guard=GuardKind.CYCLE), draft(1, 1, guard=GuardKind.TEMPLATE)])
    assert Correct().decide(nothing, LIMITS) == Draft(slots=2, restart=True, why="every draft was degenerate")


def test_a_draft_that_was_let_through_is_revised_like_any_other() -> None:
    through = draft(1, guard=None, let_through=GuardKind.TEMPLATE)
    history = past([through, draft(1, 1, guard=GuardKind.CYCLE)])
    assert Correct().decide(history, LIMITS) == Revise(parents=(through.ref,))
    for number in range(2, 5):
        history += [replace(past([revision(history[-1].candidates[0], number)])[0], number=number)]
    restart = Correct().decide(history, LIMITS)
    assert restart == Draft(slots=2, restart=True, why="3 revisions failed")


@pytest.mark.parametrize(
    ("kinds", "label"),
    [
        (("judge", "python"), Acceptance.VERIFIED),
        (("judge", "judge"), Acceptance.JUDGED),
        (("answer",), Acceptance.VERIFIED),
    ],
)
def test_one_opinion_beside_a_test_does_not_make_an_acceptance_judged(
    kinds: tuple[str, ...], label: Acceptance
) -> None:
    accepted = draft(4, 3, verdicts=tuple(verdict(passed=True, kind=kind) for kind in kinds), accepted=True)
    stop = policy.accept(past([draft(1)], [draft(2), accepted]))
    assert stop is not None
    assert (stop.state, stop.acceptance) == (JobState.ACCEPTED, label)
    assert stop.detail == "4.3"


@pytest.mark.parametrize(
    ("hours", "local", "cloud", "expected"),
    [
        (2.49, 8_999, 0, None),
        (2.5, 0, 0, Stop(code=StopCode.BUDGET_HOURS, used=2.5, limit=2.5)),
        (0, 4_000, 5_000, Stop(code=StopCode.BUDGET_TOKENS, used=9_000, limit=9_000)),
        (0, 4_000, 4_999, None),
    ],
)
def test_a_budget_is_spent_when_all_of_it_is_and_the_cloud_s_tokens_count(
    hours: float, local: int, cloud: int, expected: Stop | None
) -> None:
    limits = replace(LIMITS, hours=hours, spend=Spend(local_tokens=local, cloud_tokens=cloud))
    assert policy.spent(past([draft(1)]), limits) == expected


def test_the_iterations_of_a_budget_are_all_used() -> None:
    history = past(*([draft(n)] for n in range(1, 8)))
    assert policy.spent(history[:6], LIMITS) is None
    assert policy.spent(history, LIMITS) == Stop(code=StopCode.BUDGET_ITERATIONS, used=7, limit=7)


BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB = Job(
    id=5,
    owner="ann",
    spec=JobSpec(title="t", problem="p", checks=(), budget=Budget(iterations=11), egress=Egress.FULL),
    lane=Lane.GPU,
    history=(),
    open=None,
    incumbent=None,
    spend=Spend(local_tokens=17),
    started_at=BEGAN,
)


def test_the_hours_of_a_job_are_those_since_its_start_without_the_idle_ones() -> None:
    assert policy.hours_used(replace(JOB, read_at=BEGAN + timedelta(hours=6), idle_seconds=5_400)) == 4.5
    assert policy.hours_used(JOB) == 0.0


@pytest.mark.parametrize("named", [*Egress, None])
@pytest.mark.parametrize("served", [True, False])
def test_what_may_leave_for_help_is_what_the_job_says_where_it_is_served(served: bool, named: Egress | None) -> None:
    read_at = BEGAN + timedelta(hours=1.25)
    job = replace(JOB, cloud=served, spec=replace(JOB.spec, egress=named), read_at=read_at)
    help_rules = HelpRules(fresh_starts=9)
    limits = policy.limits_of(job, policy.LoopRules(width=6, escalate_after=4, move_up_after=8, help=help_rules))
    assert limits == Limits(
        budget=job.spec.budget,
        spend=job.spend,
        hours=1.25,
        width=6,
        egress=(named or Egress.NEVER) if served else Egress.NEVER,
        escalate_after=4,
        move_up_after=8,
        help=help_rules,
    )


REJECTED = past([draft(1)], [draft(2)], [draft(3), draft(3, 1)])


def test_the_deadline_is_what_is_left_of_the_hours_by_the_workers_clock() -> None:
    clock = StoppedClock()
    job = replace(JOB, read_at=BEGAN + timedelta(hours=1), idle_seconds=1_800)
    hours = job.spec.budget.hours
    assert policy.deadline_of(job, clock) == Deadline(at=clock.now + (hours - 0.5) * 3600, hours=hours, clock=clock)


def test_the_width_of_a_job_is_the_most_that_it_drafts_at_once() -> None:
    revised = Iteration(number=3, operator=Operator.REVISE, candidates=tuple(draft(3, slot) for slot in range(9)))
    drafted = [*past([draft(1), draft(1, 1)]), *past([draft(2, slot) for slot in range(3)], operator=Operator.RESTART)]
    job = replace(JOB, history=(*drafted, revised))
    assert policy.width_of(JOB, 7) == 7
    assert policy.width_of(job, 7) == 3
    for move, width in ((Draft(slots=5), 5), (Draft(slots=2), 3), (Escalate(why="x"), 3)):
        assert policy.width_of(replace(job, open=OpenIteration(number=4, move=move)), 7) == width


def test_a_worker_without_a_width_of_its_own_keeps_that_of_the_job() -> None:
    rules = policy.LoopRules(width=0, escalate_after=4, move_up_after=8)
    assert policy.limits_of(JOB, rules).width == 1
    assert policy.limits_of(replace(JOB, history=tuple(past([draft(1), draft(1, 1)]))), rules).width == 2


def test_only_iterations_with_candidates_and_none_accepted_are_rejected() -> None:
    empty = Iteration(number=4, operator=Operator.ESCALATE, candidates=())
    accepted = Iteration(number=5, operator=Operator.DRAFT, candidates=(draft(5), draft(5, 1, accepted=True)))
    assert policy.rejected([*REJECTED, empty, accepted]) == 3


def test_a_rejected_answer_of_the_cloud_ends_the_job_and_a_missing_one_does_not() -> None:
    answered = Iteration(number=4, operator=Operator.ESCALATE, candidates=(draft(4, operator=Operator.ESCALATE),))
    assert policy.given_up([*REJECTED, answered]) == Stop(code=StopCode.CLOUD_REJECTED)
    assert policy.given_up([*REJECTED, replace(answered, candidates=())]) is None
    assert policy.given_up(REJECTED) is None


@pytest.mark.parametrize(
    ("lane", "after", "engine"),
    [
        (Lane.FAST, 3, Lane.GPU),
        (Lane.FAST, 4, Lane.FAST),
        (Lane.GPU, 1, Lane.GPU),
        (Lane.CHECK, 1, Lane.CHECK),
    ],
)
def test_only_a_fast_job_moves_up_and_only_after_enough_rejected_iterations(
    lane: Lane, after: int, engine: Lane
) -> None:
    assert policy.engine_lane(lane, REJECTED, replace(LIMITS, move_up_after=after)) is engine


def test_lineages_are_those_of_the_last_fresh_start_and_hold_every_try() -> None:
    old, first, second = draft(1), draft(2), draft(2, 1)
    tried = revision(first, 3, guard=GuardKind.CYCLE)
    stray = revision(draft(9, 7), 3)
    history = past([old], [first, second, draft(2, 2, guard=GuardKind.CYCLE)], [tried, stray])
    assert policy.lineages(history) == ((first, tried), (second,))
    assert policy.lineages([]) == ()


def test_nearly_equal_texts_repeat_where_the_same_checks_failed() -> None:
    story = " ".join(f"word{n}" for n in range(400))
    changed = story.replace("word77 ", "other ")
    failed_a, failed_b = verdict(feedback="one"), verdict(kind="schema", feedback="other")
    passed_b = replace(failed_b, passed=True)
    first = draft(1, text=story, verdicts=(failed_a, passed_b))
    assert policy.repeats(draft(2, text=changed, verdicts=(replace(failed_a, feedback="new"), passed_b)), first)
    assert not policy.repeats(draft(2, text=changed, verdicts=(replace(failed_a, passed=True), failed_b)), first)


def test_similarity_is_exactly_dice_s_of_the_phrases_of_three_words() -> None:
    assert policy.similarity("a b c d e", "a b c d f") == pytest.approx(4 / 6)
    assert policy.similarity("a b", "a b") == 1.0
    assert policy.similarity("a b", "a c") == 0.0
    assert policy.similarity("a b c", "x a b c") == pytest.approx(2 / 3)
    assert policy.similarity("Straße links hin", "STRASSE links hin") == 0.0
    assert policy.similarity("", "") == 1.0


def test_texts_at_the_very_limit_of_nearly_equal_repeat() -> None:
    # 40 phrases each, 38 of them shared: 0.95.
    one = " ".join(f"w{n}" for n in range(42))
    other = " ".join([*(f"w{n}" for n in range(40)), "x", "y"])
    assert policy.similarity(one, other) == pytest.approx(policy.NEARLY_EQUAL)
    assert policy.repeats(draft(2, text=other), draft(1, text=one))


def test_the_critique_of_a_held_out_check_is_no_complaint() -> None:
    seen, hidden = verdict(feedback="off by one"), verdict(kind="answer", feedback="secret", held_out=True)
    passed = verdict(kind="schema", passed=True, feedback="")
    assert policy.complaint(draft(1, verdicts=(seen, hidden, passed))) == (("python:x", "off by one"),)


@pytest.mark.parametrize(
    ("check", "decisive"),
    [
        ({"kind": "python", "value": "x.py", "held_out": True}, True),
        ({"kind": "python", "value": "x.py"}, False),
        ({"kind": "judge", "value": "x.md", "held_out": True}, False),
        ({"kind": "answer", "value": "42"}, True),
        ({"kind": "answer", "value": {"number": "42"}}, True),
        ({"kind": "answer", "value": {"regex": "[0-9]+"}}, False),
        ({"kind": "answer", "value": {"regex": "[0-9]+"}, "held_out": True}, True),
    ],
)
def test_passing_is_proof_where_a_hidden_program_or_the_one_right_answer_decides(
    check: dict[str, object], decisive: bool
) -> None:
    form = CheckSpec(name="judge:form", kind="judge", value="form.md")
    spec = CheckSpec(name="x", **check)  # type: ignore[arg-type]
    assert policy.is_decisive((form, spec)) is decisive
    assert policy.is_decisive((spec, form)) is decisive
