from __future__ import annotations

from decimal import Decimal
from typing import assert_never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.policy import REVISIONS_PER_LINEAGE, SAME_CRITIQUE, BestOfN, Correct, Single, lineages, similarity, stuck
from tasks.types import (
    Acceptance,
    Budget,
    Candidate,
    CandidateRef,
    Decision,
    Draft,
    GuardKind,
    Iteration,
    JobState,
    Limits,
    Operator,
    Revise,
    Spend,
    Stop,
    StopCode,
    Verdict,
    operator_of,
)

ITERATIONS = 12


def limits(width: int = 2, **spend: float) -> Limits:
    return Limits(
        budget=Budget(usd=Decimal(1), hours=4, iterations=ITERATIONS, tokens=1_000_000),
        spend=Spend(local_tokens=int(spend.get("tokens", 0))),
        hours=spend.get("hours", 0.0),
        width=width,
    )


@st.composite
def outcomes(draw: st.DrawFn) -> list[tuple[float, bool, bool, int]]:
    """What each candidate of a run will come to: score, accepted, degenerate, which text."""
    one = st.tuples(
        st.sampled_from([0.0, 0.25, 0.5, 0.75]), st.just(False), st.booleans(), st.integers(min_value=0, max_value=9)
    )
    made = draw(st.lists(one, min_size=1, max_size=40))
    if draw(st.booleans()):
        made[draw(st.integers(0, len(made) - 1))] = (1.0, True, False, 0)
    return made


def play(
    strategy: Correct | BestOfN | Single, made: list[tuple[float, bool, bool, int]], width: int
) -> tuple[list[Iteration], list[Decision]]:
    """Runs a strategy against scripted outcomes until it stops."""
    history: list[Iteration] = []
    decisions: list[Decision] = []
    known: dict[CandidateRef, Candidate] = {}
    taken = 0
    while True:
        decision = strategy.decide(history, limits(width))
        decisions.append(decision)
        parents: list[Candidate | None]
        match decision:
            case Stop():
                return history, decisions
            case Draft(slots=slots):
                parents = [None] * slots
            case Revise(parents=refs):
                parents = [known[ref] for ref in refs]
            case _:
                assert_never(decision)
        candidates = []
        for slot, parent in enumerate(parents):
            score, accepted, degenerate, words = made[taken % len(made)]
            taken += 1
            ref = CandidateRef(iteration=len(history) + 1, slot=slot)
            candidate = Candidate(
                ref=ref,
                operator=operator_of(decision),
                text=f"text {words}",
                root=parent.root if parent else ref,
                revision=parent.revision + 1 if parent else 0,
                parent=parent.ref if parent else None,
                guard=GuardKind.CYCLE if degenerate else None,
                verdicts=()
                if degenerate
                else (Verdict(check="c", kind="python", passed=accepted, score=score, feedback=f"said {words}"),),
                score=score,
                accepted=accepted and not degenerate,
            )
            known[ref] = candidate
            candidates.append(candidate)
        history.append(Iteration(number=len(history) + 1, operator=operator_of(decision), candidates=tuple(candidates)))


@settings(max_examples=200)
@given(outcomes(), st.integers(1, 4))
def test_correct_always_ends_within_its_iterations(made: list[tuple[float, bool, bool, int]], width: int) -> None:
    history, decisions = play(Correct(), made, width)
    assert len(history) <= ITERATIONS
    assert isinstance(decisions[-1], Stop)


@settings(max_examples=200)
@given(outcomes(), st.integers(1, 4))
def test_accepted_is_said_only_of_an_accepted_candidate_and_at_once(
    made: list[tuple[float, bool, bool, int]], width: int
) -> None:
    for strategy in (Correct(), BestOfN(), Single()):
        history, decisions = play(strategy, made, width)
        last = decisions[-1]
        assert isinstance(last, Stop)
        accepted = [any(c.accepted for c in iteration.candidates) for iteration in history]
        assert (last.state is JobState.ACCEPTED) == any(accepted)
        assert not any(accepted[:-1])


@settings(max_examples=200)
@given(outcomes(), st.integers(1, 4))
def test_a_lineage_is_revised_at_most_three_times_and_no_degenerate_candidate_is_a_parent(
    made: list[tuple[float, bool, bool, int]], width: int
) -> None:
    history, decisions = play(Correct(), made, width)
    known = {c.ref: c for iteration in history for c in iteration.candidates}
    for decision in decisions:
        if isinstance(decision, Revise):
            assert len(decision.parents) <= width
            assert all(known[ref].guard is None for ref in decision.parents)
    for end in range(1, len(history) + 1):
        assert all(len(lineage) <= REVISIONS_PER_LINEAGE + 1 for lineage in lineages(history[:end]))


@settings(max_examples=100)
@given(outcomes(), st.integers(1, 4))
def test_the_same_past_gives_the_same_decision(made: list[tuple[float, bool, bool, int]], width: int) -> None:
    assert play(Correct(), made, width)[1] == play(Correct(), made, width)[1]


def test_three_failed_revisions_are_followed_by_a_fresh_start() -> None:
    _, decisions = play(Correct(), [(0.0, False, False, n) for n in range(9)], 1)
    kinds = [type(d).__name__ + (" restart" if isinstance(d, Draft) and d.restart else "") for d in decisions[:6]]
    assert kinds == ["Draft", "Revise", "Revise", "Revise", "Draft restart", "Revise"]


def test_a_revision_that_changes_nothing_is_followed_by_a_fresh_start() -> None:
    _, decisions = play(Correct(), [(0.5, False, False, 1)], 1)
    assert [type(d) for d in decisions[:3]] == [Draft, Revise, Draft]


@pytest.mark.parametrize(
    ("spend", "stop"),
    [
        ({"hours": 4.5}, Stop(code=StopCode.BUDGET_HOURS, used=4.5, limit=4)),
        ({"tokens": 1_000_000}, Stop(code=StopCode.BUDGET_TOKENS, used=1_000_000, limit=1_000_000)),
    ],
)
def test_a_spent_budget_ends_the_job_and_says_which(spend: dict[str, float], stop: Stop) -> None:
    assert Correct().decide([], limits(**spend)) == stop
    assert stop.state is JobState.UNSOLVED


@pytest.mark.parametrize(("kind", "label"), [("python", Acceptance.VERIFIED), ("judge", Acceptance.JUDGED)])
def test_an_acceptance_by_judges_alone_is_labelled_judged(kind: str, label: Acceptance) -> None:
    ref = CandidateRef(iteration=1, slot=0)
    verdict = Verdict(check="c", kind=kind, passed=True, score=1)
    candidate = Candidate(
        ref=ref, operator=Operator.DRAFT, text="", root=ref, verdicts=(verdict,), score=1, accepted=True
    )
    decision = Correct().decide([Iteration(number=1, operator=Operator.DRAFT, candidates=(candidate,))], limits())
    assert isinstance(decision, Stop)
    assert decision.acceptance is label


def revised(*versions: tuple[str, float, str], degenerate: frozenset[int] = frozenset()) -> list[Candidate]:
    """A lineage whose candidates have these texts, scores and feedback."""
    root = CandidateRef(iteration=1, slot=0)
    return [
        Candidate(
            ref=CandidateRef(iteration=number + 1, slot=0),
            operator=Operator.REVISE if number else Operator.DRAFT,
            text=text,
            root=root,
            revision=number,
            guard=GuardKind.CYCLE if number in degenerate else None,
            verdicts=()
            if number in degenerate
            else (Verdict(check="c", kind="python", passed=False, score=score, feedback=feedback),),
            score=score,
        )
        for number, (text, score, feedback) in enumerate(versions)
    ]


STORY = " ".join(f"word{n} follows word{n + 1}" for n in range(100))


def test_a_revision_that_is_nearly_the_same_and_fails_alike_is_a_loop_across_iterations() -> None:
    again = STORY.replace("word50 follows", "word50 precedes").replace(" word9 ", "\n\nWORD9 ")
    assert stuck(revised((STORY, 0.5, "wrong"), (again, 0.5, "still wrong"))) == "a revision changed next to nothing"


def test_one_changed_word_that_the_checks_see_is_no_loop() -> None:
    again = STORY.replace("word50 follows", "word50 precedes")
    assert stuck(revised((STORY, 0.5, "wrong"), (again, 0.6, "better"))) is None


def test_a_revision_that_goes_back_to_an_earlier_one_is_a_loop() -> None:
    versions = (STORY, 0.5, "a"), ("Something else entirely, and much shorter.", 0.2, "b"), (STORY, 0.5, "a")
    assert stuck(revised(*versions)) == "a revision changed next to nothing"


def test_short_answers_that_differ_in_one_word_are_different() -> None:
    assert stuck(revised(("The sum is 41.\nANSWER: 41", 0.0, "no"), ("The sum is 42.\nANSWER: 42", 0.0, "no"))) is None


def test_the_same_critique_three_times_is_a_loop_however_the_texts_differ() -> None:
    texts = [" ".join(f"{name}{n}" for n in range(50)) for name in "abc"]
    lineage = revised(*((text, 0.0, "expected 3") for text in texts))
    assert stuck(lineage) == f"the same critique {SAME_CRITIQUE} times"
    assert stuck(lineage[:2]) is None


def test_a_degenerate_revision_is_a_try_and_is_compared_with_nothing() -> None:
    texts = [" ".join(f"{name}{n}" for n in range(50)) for name in "ab"]
    assert stuck(revised((texts[0], 0.0, "no"), (texts[0], 0.0, ""), degenerate=frozenset({1}))) is None
    versions = (texts[0], 0.0, "no"), (texts[0], 0.0, ""), (texts[0], 0.0, ""), (texts[1], 0.0, "other")
    assert stuck(revised(*versions, degenerate=frozenset({1, 2}))) == "3 revisions failed"


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.lists(st.sampled_from("abcd"), max_size=40))
def test_similarity_is_symmetric_and_one_for_the_same_words(one: list[str], other: list[str]) -> None:
    ours, theirs = " ".join(one), "\n".join(other)
    assert similarity(ours, theirs) == similarity(theirs, ours)
    assert 0.0 <= similarity(ours, theirs) <= 1.0
    assert similarity(ours, " ".join(one).upper()) == 1.0
