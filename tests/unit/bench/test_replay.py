"""Strategies played from a pool: what is drawn, what it costs, what is accepted, and what is right."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tasks.llm.scripted import ScriptedModel
from tasks.policy import BestOfN, Correct, Single
from tasks.ports import Heartbeat, Strategy
from tasks.sampling import Sampling
from tasks.types import Acceptance, CheckSpec, Decision, Draft, Iteration, Limits, Stop, StopCode, Verdict
from tests.unit.bench.pools import pool_of, task_of
from workers.bench.replay import Replay, Terms
from workers.bench.runs import Run
from workers.bench.tasks import Mode


class Holds:
    """Passes an answer that holds the check's value."""

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        return tuple(
            Verdict(
                check=c.name,
                kind=c.kind,
                passed=c.value in candidate,
                score=float(c.value in candidate),
                held_out=c.held_out,
            )
            for c in checks
        )


class Last:
    """Drafts four, then accepts the last."""

    name = "last"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        if not history:
            return Draft(slots=4)
        return Stop(code=StopCode.ACCEPTED, detail="1.3", acceptance=Acceptance.VERIFIED)


def replay_of(
    marks: Sequence[str], mode: Mode = Mode.BLIND, *, tokens: int = 1_000, each: int = 100, width: int = 1,
    greedy: bool = True, answer: str = "1 and 2",
) -> Replay:  # fmt: skip
    return Replay(
        task=task_of("a"),
        pool=pool_of({"a": marks}, tokens=each),
        terms=Terms(mode=mode, tokens=tokens, width=width, greedy_first=greedy),
        model=ScriptedModel(lambda request: answer),
        checks=Holds(),  # type: ignore[arg-type]
        sampling=Sampling(answer_tokens=512, review_tokens=128),
    )


def run(strategy: Strategy, marks: Sequence[str], mode: Mode = Mode.BLIND, seed: int = 0, **terms: object) -> Run:
    return replay_of(marks, mode, **terms).run(strategy, seed)  # type: ignore[arg-type]


def test_single_takes_the_greedy_draft() -> None:
    found = run(Single(), ["vs", "", ""])
    assert (found.accepted, found.right, found.solved, found.calls) == (True, True, True, 1)
    assert (found.completion_tokens, found.prompt_tokens, found.seconds) == (100, 50, 2.0)


def test_without_greed_the_first_draft_is_drawn_and_the_greedy_one_never() -> None:
    drawn = {run(Single(), ["vs", "", ""], seed=seed, greedy=False).accepted for seed in range(20)}
    assert drawn == {False}


def test_every_draft_is_drawn_once_before_any_is_drawn_again() -> None:
    order = replay_of(["", "", "", ""]).order(3)
    drawn = [draft.draft for draft in itertools.islice(order, 7)]
    assert drawn[0] == 0
    assert sorted(drawn[1:4]) == sorted(drawn[4:7]) == [1, 2, 3]


def test_a_seed_repeats_its_draws_and_another_draws_otherwise() -> None:
    replay = replay_of([""] * 17)
    orders = [[draft.draft for draft in itertools.islice(replay.order(seed), 17)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_blind_accepts_what_the_examples_pass_and_the_scoring_checks_say_that_it_is_wrong() -> None:
    found = run(BestOfN(), ["", "v", "v"])
    assert (found.accepted, found.right, found.falsely_accepted, found.calls) == (True, False, True, 2)


def test_with_a_checker_only_a_right_answer_is_accepted() -> None:
    found = run(BestOfN(), ["v", "v", "s", "vs"], Mode.CHECKER)
    assert (found.solved, found.any_right) == (True, True)
    assert found.stop is StopCode.ACCEPTED


@pytest.mark.parametrize(("tokens", "calls"), [(100, 1), (101, 2), (250, 3), (1_000, 10)])
def test_no_call_is_begun_beyond_the_budget_and_the_last_is_cut(tokens: int, calls: int) -> None:
    found = run(BestOfN(), ["", "", ""], tokens=tokens)
    assert (found.completion_tokens, found.calls, found.stop) == (tokens, calls, StopCode.BUDGET_TOKENS)


def test_a_draft_that_the_budget_cuts_short_passes_nothing() -> None:
    found = run(BestOfN(), ["", "vs", "vs"], tokens=150)
    assert (found.calls, found.accepted, found.any_right) == (2, False, False)


@pytest.mark.parametrize(("tokens", "calls"), [(700, 2), (600, 3), (512, 2)])
def test_slots_share_what_is_left_before_any_is_drawn(tokens: int, calls: int) -> None:
    """The first slot has 512 of them reserved: the second has 188, or 88 and is cut short, or none."""
    found = run(BestOfN(), ["", "vs", "vs"], tokens=tokens, width=2)
    assert (found.calls, found.solved) == (calls, True)


def test_a_slot_is_drawn_again_after_a_degenerate_draft_and_pays_for_both() -> None:
    found = run(Single(), ["g", "vs", "vs"])
    assert (found.calls, found.degenerate, found.completion_tokens, found.solved) == (2, 1, 200, True)
    found = run(Single(), ["g", "g", "g"])
    assert (found.calls, found.degenerate, found.accepted, found.any_right) == (3, 3, False, False)


def test_the_candidate_that_the_stop_names_is_the_answer() -> None:
    seen = {run(Last(), ["vs", "v", "v", "vs"], seed=seed, tokens=4_000).right for seed in range(30)}
    assert seen == {True, False}
    found = run(Last(), ["vs", "v", "v", "v"], tokens=4_000)
    assert (found.right, found.any_right) == (False, True)


def test_what_is_no_draft_is_answered_by_the_model_and_paid_for() -> None:
    found = run(Correct(), ["", "", ""], tokens=2_000)
    assert (found.accepted, found.right, found.iterations) == (True, True, 2)
    assert found.calls == 3  # the draft, the review, the revision
    assert found.completion_tokens == 100 + 2 * (len("1 and 2") // 4)


def test_a_revision_that_the_scoring_checks_reject_is_no_solution() -> None:
    found = run(Correct(), ["", "", ""], tokens=2_000, answer="1 and 3")
    assert (found.accepted, found.right, found.any_right) == (True, False, False)


def test_answers_in_the_same_words_are_counted_as_repeated() -> None:
    found = run(BestOfN(), ["", ""], tokens=500)
    assert (found.calls, found.repeated_tokens) == (5, 300)
