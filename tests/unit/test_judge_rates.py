"""What is known of a model as a judge, and what follows from it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.judge_panel import VOTES_ALONE, VOTES_BESIDE_PROGRAMS, votes_needed
from tasks.judge_rates import (
    NEVER_MEASURED,
    JudgeRates,
    ModelRates,
    PanelRates,
    Tally,
    decided,
    describe,
    finding,
)
from tasks.types import CheckSpec

JUDGE = CheckSpec(name="judge", kind="judge", value="")
PROGRAM = CheckSpec(name="answer", kind="answer", value="7")


def rates(*panel: tuple[int, int], right: int = 100, wrong: int = 100, prompts: str = "p") -> ModelRates:
    """Of a model whose votes in a row accept so many right and so many wrong answers, for 1, 2, … votes."""
    return ModelRates(
        measured="2026-01-01",
        engine="e",
        prompts=prompts,
        cases={"code": right // 2, "numbers": right - right // 2},
        judge_prompts={},
        panel=tuple(
            PanelRates(votes=votes, right=Tally(passed=good, cases=right), wrong=Tally(passed=bad, cases=wrong))
            for votes, (good, bad) in enumerate(panel, start=1)
        ),
    )


@pytest.mark.parametrize(
    ("passed", "cases", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_share_is_wilsons(passed: int, cases: int, low: float, high: float) -> None:
    """The examples of R. G. Newcombe, Two-sided confidence intervals for the single proportion (1998), table I."""
    assert Tally(passed=passed, cases=cases).interval == pytest.approx((low, high), abs=6e-5)


def test_the_interval_of_nothing_is_everything_and_of_all_ends_at_one() -> None:
    assert Tally(passed=0, cases=0).interval == (0.0, 1.0)
    assert Tally(passed=9, cases=9).interval[1] == 1.0


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """56 of 70 less 48 of 80, of his Interval estimation for the difference (1998), table II, method 10."""
    panel = PanelRates(votes=1, right=Tally(passed=56, cases=70), wrong=Tally(passed=48, cases=80))
    assert panel.gap == pytest.approx((0.0524, 0.3339), abs=6e-5)


@pytest.mark.parametrize(
    ("votes", "needed", "says"),
    [
        ([True, True], 2, True),
        ([True, None, True], 2, True),
        ([True, None], 2, None),
        ([None, True, False, True], 2, False),
        ([True, True, False], 2, True),
        ([], 1, None),
    ],
)
def test_enough_passes_accept_before_a_fail_and_an_invalid_vote_leaves_its_place(
    votes: list[bool | None], needed: int, says: bool | None
) -> None:
    assert decided(votes, needed) is says


def test_as_many_votes_are_needed_as_are_shown_to_keep_wrong_answers_out() -> None:
    known = rates((99, 40), (97, 9), (95, 1), (90, 0))
    assert (known.votes_within(0.05), known.votes_within(0.2), known.votes_within(0.01)) == (4, 2, None)


def test_a_judge_that_rejects_all_keeps_wrong_answers_out_and_still_says_nothing() -> None:
    assert rates((0, 0), (0, 0)).votes_within(0.05) is None
    assert "carries no information" in finding(rates((0, 0), (0, 0)))


@pytest.mark.parametrize(
    ("known", "alone", "beside"),
    [
        (None, VOTES_ALONE, VOTES_BESIDE_PROGRAMS),
        (rates((99, 40), (95, 0)), 2, 2),
        (rates((99, 40), (98, 30), (97, 20), (96, 0)), 4, VOTES_BESIDE_PROGRAMS),
        (rates((99, 99), (98, 98)), VOTES_ALONE, VOTES_BESIDE_PROGRAMS),
    ],
    ids=["never measured", "good", "fair", "no information"],
)
def test_the_votes_of_a_check_follow_from_the_rates(known: ModelRates | None, alone: int, beside: int) -> None:
    assert votes_needed([JUDGE], known) == alone
    assert votes_needed([JUDGE, PROGRAM], known) == beside


def test_a_wider_bound_takes_fewer_votes() -> None:
    known = rates((99, 40), (98, 12), (97, 0))
    assert [votes_needed([JUDGE], known, bound) for bound in (0.05, 0.2, 0.6)] == [3, 2, 1]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (rates((99, 40), (90, 0)), "2 votes in a row accept at most 5 % of wrong answers: 0 %"),
        (rates((90, 88), (80, 79)), "this model's judgement carries no information: 2 votes in a row accept 80 %"),
        (rates((99, 60), (90, 30)), "no number of votes up to 2 is shown to accept at most 5 % of wrong answers"),
        (rates((30, 3), (29, 0), right=30, wrong=30), "too small to show 5 %, which takes 73 wrong answers"),
    ],
    ids=["enough", "no information", "not enough", "few"],
)
def test_what_was_found_is_said_plainly(known: ModelRates, words: str) -> None:
    assert words in finding(known)


def test_a_judgement_is_described_by_its_model_its_votes_and_its_rates() -> None:
    known = rates((99, 60), (93, 41))
    assert describe("m", 2, known) == (
        "m, 2 votes in a row: passes 93 % of right and 41 % of wrong answers (n=100+100, code and numbers)"
    )
    assert ", as 2 votes (n=" in describe("m", 5, known)
    assert describe("m", 1, rates((50, 50))).endswith("no information")
    assert "never measured" in describe("m", 5, None)


def test_rates_hold_for_their_model_and_its_judge_prompts_alone() -> None:
    known = JudgeRates(models={"m": rates((99, 0))})
    assert known.of("m", "p") is not None
    assert known.of("m", "other words") is None
    assert known.of("another model", "p") is None


def test_a_deployments_own_rates_go_before_the_shipped_ones() -> None:
    shipped = JudgeRates(models={"m": rates((99, 0)), "n": rates((98, 0))})
    both = shipped.under(JudgeRates(models={"m": rates((50, 50))}))
    assert both.models["m"].panel[0].right.passed == 50
    assert both.models["n"].panel[0].right.passed == 98
    assert NEVER_MEASURED.under(shipped) == shipped


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match="5 of 4 answers"):
        Tally(passed=5, cases=4)
    with pytest.raises(ValidationError, match="from 1"):
        ModelRates(measured="", engine="", prompts="", cases={}, judge_prompts={}, panel=())
