"""The strategies `ladder`, `self_consistency` and `aggregate`, and the clusters that they choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.policy import (
    REVISIONS_PER_LINEAGE,
    Aggregation,
    Ladder,
    SelfConsistency,
    by_root,
    choose,
    clusters,
    identity,
    impossible,
    in_doubt,
    no_gain,
    passing,
    repeated,
    stuck,
)
from tasks.ports import Strategy
from tasks.types import (
    Aggregate,
    Budget,
    Candidate,
    CandidateRef,
    Decision,
    Draft,
    Egress,
    Escalate,
    EscalationKind,
    GuardKind,
    Iteration,
    JobState,
    Limits,
    Operator,
    Probe,
    Revise,
    Spend,
    Stop,
    StopCode,
    Synthesise,
    Verdict,
    operator_of,
)

LIMITS = Limits(
    budget=Budget(usd=Decimal(1), hours=4, iterations=30, tokens=9_000), spend=Spend(), hours=0.0, width=2,
    executable=True,
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a candidate will come to."""

    passes: bool
    behaviour: str = "a"
    words: int = 0
    score: float = 0.0
    degenerate: bool = False
    objection: str = ""


outcomes = st.lists(
    st.builds(
        Outcome,
        passes=st.booleans(),
        behaviour=st.sampled_from("abc"),
        words=st.integers(0, 12),
        score=st.sampled_from([0.0, 0.5, 0.75]),
        degenerate=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)
some_limits = st.builds(
    lambda width, iterations, decisive, executable: replace(
        LIMITS,
        width=width,
        decisive=decisive,
        executable=executable,
        budget=replace(LIMITS.budget, iterations=iterations),
    ),
    st.integers(1, 4),
    st.integers(1, 30),
    st.booleans(),
    st.booleans(),
)


def candidate(ref: CandidateRef, outcome: Outcome, operator: Operator, parent: Candidate | None = None) -> Candidate:
    accepted = outcome.passes and not outcome.degenerate
    verdict = Verdict(check="c", kind="python", passed=accepted, score=outcome.score, feedback=f"said {outcome.words}")
    return Candidate(
        ref=ref,
        operator=operator,
        text=f"def f(x):\n    return x + {outcome.words}",
        root=parent.root if parent else ref,
        revision=parent.revision + 1 if parent else 0,
        parent=parent.ref if parent else None,
        guard=GuardKind.CYCLE if outcome.degenerate else None,
        verdicts=() if outcome.degenerate else (verdict,),
        score=1.0 if accepted else outcome.score,
        accepted=accepted,
    )


def observed(one: Candidate, behaviours: Mapping[CandidateRef, str]) -> Candidate:
    return replace(one, behaviour=behaviours[one.ref]) if one.accepted else one


def play(
    made: Sequence[Outcome], limits: Limits, strategy: Strategy | None = None
) -> tuple[list[Iteration], list[Decision]]:
    """Runs the strategy against scripted outcomes until it stops, and observes what a probe observes."""
    history: list[Iteration] = []
    decisions: list[Decision] = []
    behaviours: dict[CandidateRef, str] = {}
    taken = 0
    while True:
        decision = (strategy or Ladder()).decide(history, limits)
        decisions.append(decision)
        known = {c.ref: c for iteration in history for c in iteration.candidates}
        match decision:
            case Stop():
                return history, decisions
            case Probe():
                history = [replace(i, candidates=tuple(observed(c, behaviours) for c in i.candidates)) for i in history]
                history.append(
                    Iteration(number=len(history) + 1, operator=Operator.INPUTS, candidates=(), inputs=("f(1)",))
                )
                continue
            case Draft(slots=slots):
                parents: list[Candidate | None] = [None] * slots
            case Aggregate(slots=slots):
                parents = [None] * slots
            case Synthesise():
                parents = [None]
            case Revise(parents=refs):
                parents = [known[ref] for ref in refs]
        probed = any(iteration.inputs for iteration in history)
        new: list[Candidate] = []
        for slot, parent in enumerate(parents):
            outcome, taken = made[taken % len(made)], taken + 1
            ref = CandidateRef(iteration=len(history) + 1, slot=slot)
            behaviours[ref] = outcome.behaviour
            one = candidate(ref, outcome, operator_of(decision), parent)
            one = replace(one, behaviour=outcome.behaviour) if probed and one.accepted else one
            same = repeated(one, [*known.values(), *new], executable=limits.executable)
            new.append(replace(one, repeats=same, objection=outcome.objection if parent else ""))
        history.append(Iteration(number=len(history) + 1, operator=operator_of(decision), candidates=tuple(new)))


choosers = st.sampled_from([Ladder(), SelfConsistency(), Aggregation()])
voters = pytest.mark.parametrize("voter", [Ladder, SelfConsistency])


@settings(max_examples=150)
@given(outcomes, some_limits, choosers)
def test_it_ends_within_its_iterations_and_never_chooses_what_a_check_rejected(
    made: list[Outcome], limits: Limits, strategy: Strategy
) -> None:
    history, decisions = play(made, limits, strategy)
    stop = decisions[-1]
    assert isinstance(stop, Stop)
    assert len(history) <= limits.budget.iterations
    accepted = {str(c.ref): c for iteration in history for c in iteration.candidates if c.accepted}
    assert (stop.state is JobState.ACCEPTED) == bool(accepted)
    if accepted:
        chosen = accepted[stop.detail]
        assert all(verdict.passed for verdict in chosen.verdicts)
        assert chosen in clusters(list(accepted.values()), executable=limits.executable)[0]


@settings(max_examples=150)
@given(outcomes, some_limits, choosers)
def test_where_passing_is_proof_the_first_that_passes_ends_it(
    made: list[Outcome], limits: Limits, strategy: Strategy
) -> None:
    history, decisions = play(made, replace(limits, decisive=True), strategy)
    passed = [any(c.accepted for c in iteration.candidates) for iteration in history]
    assert not any(passed[:-1])
    assert not any(isinstance(decision, Probe) for decision in decisions)


@settings(max_examples=200)
@given(outcomes, some_limits)
def test_it_probes_programs_once_and_revises_nothing_that_passed_or_is_degenerate(
    made: list[Outcome], limits: Limits
) -> None:
    history, decisions = play(made, limits)
    probes = sum(isinstance(decision, Probe) for decision in decisions)
    assert probes <= limits.executable
    known = {c.ref: c for iteration in history for c in iteration.candidates}
    parents = [known[ref] for decision in decisions if isinstance(decision, Revise) for ref in decision.parents]
    assert all(parent.guard is None and not parent.accepted for parent in parents)


@settings(max_examples=150)
@given(outcomes, some_limits, choosers)
def test_no_lineage_is_revised_too_often_and_nothing_is_made_of_the_same_candidates_twice(
    made: list[Outcome], limits: Limits, strategy: Strategy
) -> None:
    history, decisions = play(made, limits, strategy)
    assert all(len(lineage) <= REVISIONS_PER_LINEAGE + 1 for lineage in by_root(history))
    known = {c.ref: c for iteration in history for c in iteration.candidates}
    merged = [(type(d), d.parents) for d in decisions if isinstance(d, Aggregate | Synthesise)]
    assert len(set(merged)) == len(merged)
    for _, parents in merged:
        assert len({identity(known[ref], executable=limits.executable) for ref in parents}) > 1
        assert all(known[ref].guard is None and known[ref].repeats is None for ref in parents)


@settings(max_examples=100)
@given(outcomes, some_limits, choosers)
def test_what_only_repeats_itself_is_followed_by_another_plan_or_the_end(
    made: list[Outcome], limits: Limits, strategy: Strategy
) -> None:
    stuck = [replace(outcome, passes=False, words=1, degenerate=False, score=0.5) for outcome in made]
    history, decisions = play(stuck, limits, strategy)
    new = [c for iteration in history for c in iteration.candidates if c.repeats is None]
    assert len(new) <= 1
    assert decisions[-1].code in (StopCode.NO_GAIN, StopCode.BUDGET_ITERATIONS)  # type: ignore[union-attr]


def kinds(decisions: Sequence[Decision]) -> list[str]:
    return [
        "restart" if isinstance(decision, Draft) and decision.restart else type(decision).__name__.lower()
        for decision in decisions
    ]


@voters
def test_three_of_the_same_code_are_enough_without_a_probe(voter: type[Ladder | SelfConsistency]) -> None:
    _, decisions = play([Outcome(True)], LIMITS, voter())
    assert kinds(decisions) == ["draft", "draft", "stop"]
    assert decisions[-1] == voter().decide(play([Outcome(True)], LIMITS, voter())[0], LIMITS)


@voters
def test_candidates_that_differ_are_compared_by_what_they_do_and_the_largest_cluster_wins(
    voter: type[Ladder | SelfConsistency],
) -> None:
    made = [Outcome(True, "wrong", words=0), Outcome(True, "right", words=1), Outcome(True, "right", words=2)]
    made += [Outcome(True, "right", words=n) for n in range(3, 9)]
    _, decisions = play(made, LIMITS, voter())
    assert kinds(decisions) == ["draft", "probe", "draft", "stop"]
    assert isinstance(decisions[-1], Stop)
    assert (decisions[-1].detail, decisions[-1].used, decisions[-1].limit) == ("1.1", 3, 4), "not the first that passed"


@voters
def test_answers_are_compared_by_their_value_without_a_probe(voter: type[Ladder | SelfConsistency]) -> None:
    blind = replace(LIMITS, executable=False)
    values = ("41", "42", "42", "42")
    answers = [draft(n, f"text {n}", accepted=True, score=1.0, behaviour=value) for n, value in enumerate(values, 1)]
    history = [Iteration(number=n, operator=Operator.DRAFT, candidates=(one,)) for n, one in enumerate(answers, 1)]
    assert isinstance(voter().decide(history[:3], blind), Draft)
    stop = voter().decide(history, blind)
    assert isinstance(stop, Stop)
    assert (stop.detail, stop.used, stop.limit) == ("2.0", 3, 4)


@voters
def test_of_texts_that_nothing_can_compare_the_first_that_passes_is_the_answer(
    voter: type[Ladder | SelfConsistency],
) -> None:
    _, decisions = play([Outcome(True, words=n) for n in range(9)], replace(LIMITS, executable=False), voter())
    assert kinds(decisions) == ["draft", "stop"]
    assert isinstance(decisions[-1], Stop)
    assert decisions[-1].detail == "1.0"


def test_help_is_asked_for_before_a_job_ends_without_gain_and_a_hint_is_a_new_beginning() -> None:
    failing = [Outcome(False, words=n, score=0.5) for n in range(80)]
    history = play(failing, LIMITS)[0]
    allowed = replace(LIMITS, egress=Egress.FULL, escalate_after=100)
    asked = Ladder().decide(history, allowed)
    assert asked == Escalate(
        kind=EscalationKind.HINT, why="no better score than 0.50 came in 25 iterations, over several fresh starts"
    )
    hinted = [*history, Iteration(number=12, operator=Operator.HINT, candidates=(), hint="Sort first.")]
    assert Ladder().decide(hinted, allowed) == Ladder().decide(hinted, LIMITS)
    assert isinstance(Ladder().decide(hinted, allowed), Draft)
    answered = [*history, Iteration(number=12, operator=Operator.ESCALATE, candidates=())]
    assert Ladder().decide(answered, allowed) == Stop(code=StopCode.NO_GAIN, used=25, detail="0.50")


def test_where_nothing_passes_it_repairs_and_redrafts_in_turn() -> None:
    made = [Outcome(False, words=n, score=0.5) for n in range(12)]
    _, decisions = play(made, replace(LIMITS, budget=replace(LIMITS.budget, iterations=6)), Ladder(first=2))
    assert kinds(decisions) == ["draft", "revise", "restart", "aggregate", "revise", "restart", "stop"]
    assert decisions[1] == Revise(parents=decisions[1].parents, analyse=True, why="none passes")  # type: ignore[union-attr]
    assert [str(ref) for ref in decisions[2].avoid] == ["1.0", "1.1"]  # type: ignore[union-attr]
    later = kinds(play(made, LIMITS)[1])
    assert later[:4] == ["draft", "draft", "revise", "restart"]
    assert decisions[-1] == Stop(code=StopCode.BUDGET_ITERATIONS, used=6, limit=6)


def test_without_repairs_it_drafts_on_until_one_passes_and_then_compares() -> None:
    made = [Outcome(False, words=n, score=0.5) for n in range(8)] + [Outcome(True, words=9)] * 3
    decisions = play(made, LIMITS, SelfConsistency())[1]
    assert kinds(decisions) == ["draft"] * 6 + ["stop"]
    assert not any(decision.avoid for decision in decisions if isinstance(decision, Draft))
    assert isinstance(decisions[-1], Stop)
    assert (decisions[-1].detail, decisions[-1].used) == ("5.0", 3)


@voters
def test_drafting_ends_where_they_never_agree(voter: type[Ladder | SelfConsistency]) -> None:
    made = [Outcome(True, f"b{n}", words=n) for n in range(40)]
    history, decisions = play(made, LIMITS, voter(most=8))
    assert sum(len(iteration.candidates) for iteration in history) == 8
    assert isinstance(decisions[-1], Stop)
    assert decisions[-1].detail == "1.0", "of equal clusters, the one with the first draft"


def test_a_spent_budget_ends_with_the_best_choice_and_not_without_an_answer() -> None:
    history = play(
        [Outcome(True, words=1), Outcome(True, words=2)], replace(LIMITS, budget=replace(LIMITS.budget, iterations=1))
    )[0]
    stop = Ladder().decide(history, replace(LIMITS, spend=Spend(local_tokens=9_000)))
    assert stop == choose(history, LIMITS)
    assert isinstance(stop, Stop)
    assert stop.code is StopCode.ACCEPTED


def draft(number: int, text: str, **fields: object) -> Candidate:
    ref = CandidateRef(iteration=number, slot=0)
    return Candidate(ref=ref, operator=Operator.DRAFT, text=text, root=ref, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            "def f(x):\n    return x",
            '```python\ndef f(x):\n    """Gives x."""\n    # as it is\n    return (x)\n```',
            True,
        ),
        ("def f(x):\n    return x", "def f(y):\n    return y", False),
        ("def f(x:\n", "def f(x:\n\n", True),
    ],
)
def test_code_is_the_same_again_whatever_its_comments_say(one: str, other: str, same: bool) -> None:
    assert (identity(draft(1, one), executable=True) == identity(draft(2, other), executable=True)) is same


def test_a_text_is_the_same_again_in_the_same_words() -> None:
    assert identity(draft(1, "a  b\n"), executable=False) == identity(draft(2, "a b"), executable=False)
    assert identity(draft(1, "x = 1 # a"), executable=False) != identity(draft(2, "x = 1 # b"), executable=False)


def test_only_the_accepted_with_the_highest_score_pass() -> None:
    low, high = draft(1, "a", accepted=True, score=0.8), draft(2, "b", accepted=True, score=0.9)
    history = [Iteration(number=n, operator=Operator.DRAFT, candidates=(c,)) for n, c in enumerate((low, high), 1)]
    assert passing(history) == (high,)
    assert passing([]) == ()
    assert choose([], LIMITS) is None


def test_where_nothing_gets_better_over_several_fresh_starts_the_job_ends_with_that_reason() -> None:
    history, decisions = play([Outcome(False, words=n, score=0.5) for n in range(80)], LIMITS)
    assert decisions[-1] == Stop(code=StopCode.NO_GAIN, used=25, detail="0.50")
    assert len(history) == 26
    better = Outcome(False, words=90, score=0.75)
    history, _ = play(
        [*(Outcome(False, words=n, score=0.5) for n in range(14)), better] + [Outcome(False, words=7)] * 40, LIMITS
    )
    assert no_gain(history[:26]) is None, "a better score begins the count anew"
    assert len(play([Outcome(False, words=n, score=0.5) for n in range(80)], LIMITS, Ladder(patience=12))[0]) == 13


def test_two_reviews_of_different_lineages_that_find_the_problem_impossible_end_the_job() -> None:
    said = [Outcome(False, words=n, objection="`a` is not `b`") for n in range(40)]
    history, decisions = play(said, LIMITS, Ladder(first=2))
    assert kinds(decisions) == ["draft", "revise", "stop"]
    assert decisions[-1] == Stop(code=StopCode.IMPOSSIBLE, detail="`a` is not `b`")
    (first, second) = history[-1].candidates
    alone = [*history[:-1], replace(history[-1], candidates=(first, replace(second, objection="")))]
    assert impossible(alone) is None
    assert impossible(alone, 1) == Ladder(first=2, objections=1).decide(alone, LIMITS) == decisions[-1]
    later = candidate(CandidateRef(iteration=4, slot=0), Outcome(False, words=50, score=0.5), Operator.DRAFT)
    again = [*history, Iteration(number=4, operator=Operator.RESTART, candidates=(later,))]
    assert impossible(again) is None, "something came nearer to it since"
    before = [replace(history[0], candidates=tuple(replace(c, score=0.5) for c in history[0].candidates)), *again[1:]]
    assert impossible(before) is not None, "nothing came nearer to it than before"


def test_generations_are_made_of_the_one_before_and_texts_that_pass_are_merged_once() -> None:
    made = [Outcome(True, words=n, score=1.0) for n in range(40)]
    _, decisions = play(made, replace(LIMITS, executable=False), Aggregation())
    names = ["draft", "draft", "aggregate", "aggregate", "aggregate", "synthesise", "stop"]
    assert kinds(decisions) == names
    assert [str(ref) for ref in decisions[2].parents] == ["1.0", "1.1", "2.0", "2.1"]  # type: ignore[union-attr]
    assert [str(ref) for ref in decisions[3].parents] == ["3.0", "3.1"]  # type: ignore[union-attr]
    assert decisions[-1] == Stop(
        code=StopCode.ACCEPTED,
        detail="1.0",
        acceptance=decisions[-1].acceptance,
        used=1,
        limit=11,  # type: ignore[union-attr]
    ), "a tie keeps the incumbent"
    failing = [Outcome(False, words=n) for n in range(40)]
    assert kinds(play(failing, LIMITS, Aggregation())[1])[:6] == [*names[:5], "restart"]


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"text": "41"}, "1.0"),
        ({"text": "forty-one", "behaviour": "41"}, "1.0"),
        ({"text": "42", "behaviour": "42"}, None),
        ({"text": "41", "guard": GuardKind.CYCLE}, None),
        ({"text": "41", "accepted": True}, None),
        ({"text": "43", "behaviour": "43"}, None),
    ],
)
def test_a_candidate_that_does_what_a_rejected_one_did_repeats_it(fields: dict[str, object], same: str | None) -> None:
    earlier = (
        draft(1, "41", behaviour="41"),
        draft(2, "42", behaviour="42", accepted=True),
        draft(3, "43", guard=GuardKind.CYCLE),
        draft(5, "43", behaviour="43"),
    )
    found = repeated(draft(4, **fields), earlier, executable=False)  # type: ignore[arg-type]
    assert (str(found) if found else None) == same


@settings(max_examples=150)
@given(st.lists(st.sampled_from(["", "`a` is not `b`"]), min_size=1, max_size=40), st.integers(1, 4))
def test_while_a_finding_is_in_doubt_other_lineages_are_reviewed_at_once(said: list[str], width: int) -> None:
    made = [Outcome(False, words=n, objection=objection) for n, objection in enumerate(said)]
    history, decisions = play(made, replace(LIMITS, width=width), Ladder(objections=10**6))
    for number, after in enumerate(decisions[1:-1], 1):
        until = history[:number]
        objected = {c.root for i in until for c in i.candidates if c.objection}
        reviewed = {c.root for i in until for c in i.candidates if c.revision}
        doubtful = bool(objected) and len(reviewed - objected) <= len(objected)
        assert in_doubt(until) is doubtful
        lineages = by_root(until)
        others = [one for one in lineages if one[0].root not in objected | {c.root for c in again(one)}]
        asked = isinstance(after, Revise) and after.why == "another opinion"
        turn = until[-1].operator in (Operator.REVISE, Operator.RESTART)
        assert asked is (doubtful and turn and bool(others))
        if isinstance(after, Revise) and asked:
            known = {c.ref: c for i in history for c in i.candidates}
            assert not {known[ref].root for ref in after.parents} & objected


def again(lineage: Sequence[Candidate]) -> Sequence[Candidate]:
    """The lineage, where no repair of it is worth a call."""
    return lineage if lineage[0].repeats or stuck(lineage) else ()


def test_a_hint_settles_a_doubt() -> None:
    made = [Outcome(False, words=n, objection="`a` is not `b`" if n == 2 else "") for n in range(9)]
    early = Ladder(first=2)
    history = play(made, LIMITS, early)[0][:2]
    assert in_doubt(history)
    assert kinds([early.decide(history, LIMITS)]) == ["revise"]
    hinted = [*history, Iteration(number=3, operator=Operator.HINT, candidates=(), hint="Sort first.")]
    assert not in_doubt(hinted)
    assert kinds([early.decide(hinted, LIMITS)]) == ["restart"]
    silent = [Outcome(False, words=n) for n in range(9)]
    assert kinds([early.decide(play(silent, LIMITS, early)[0][:2], LIMITS)]) == ["restart"]
