"""The second agent: its votes, what makes one valid, and that a resumed turn asks nothing twice."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.errors import LimitReached
from tasks.journal import JournalledModel
from tasks.judge_panel import VOTES_ALONE, VOTES_BESIDE_PROGRAMS, ModelJudgePanel
from tasks.judge_rates import NEVER_MEASURED, JudgeRates
from tasks.llm.scripted import ScriptedModel
from tasks.prompts import build, judging
from tasks.retries import CHOICE_TOKENS
from tasks.sampling import Sampling, call_seed
from tasks.types import (
    CallKey,
    Candidate,
    CandidateRef,
    ChatRequest,
    CheckSpec,
    Job,
    JobSpec,
    Lane,
    Operator,
    Spend,
    Verdict,
)
from tests.doubles import Journal
from tests.turns import turn_of
from tests.unit.test_judge_rates import rates

RUBRIC = CheckSpec(name="judge:r.md", kind="judge", value="r.md", files={"r.md": "It is friendly."})
SECRET = CheckSpec(name="judge", kind="judge", value="It names no §secret§ price.", held_out=True)
OTHER = CheckSpec(name="judge#2", kind="judge", value="It rhymes.", held_out=True)
PROGRAM = CheckSpec(name="answer", kind="answer", value="7", held_out=True)
LETTER = "Dear all, the water is off on Monday. Regards"
BAD = "- `the water is off` does not say for how long"


def job(*checks: CheckSpec) -> Job:
    return Job(
        id=1,
        owner="alice",
        spec=JobSpec(title="Notice", problem="Tell the tenants.", checks=checks),
        lane=Lane.GPU,
        history=(),
        open=None,
        incumbent=None,
        spend=Spend(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def candidate(text: str = LETTER) -> Candidate:
    ref = CandidateRef(iteration=3, slot=1)
    return Candidate(ref=ref, operator=Operator.DRAFT, text=text, root=ref)


def judges(*votes: tuple[str, str]) -> Callable[[ChatRequest], str]:
    """A model that says each vote's report and then its word, vote after vote; the last one for ever."""
    turns: Iterator[tuple[str, str]] = iter(votes)
    state: dict[str, Any] = {"vote": votes[0]}

    def answer(request: ChatRequest) -> str:
        if request.choices:
            return str(state["vote"][1])
        state["vote"] = next(turns, state["vote"])
        return str(state["vote"][0])

    return answer


def judge(
    answer: Callable[[ChatRequest], str], *checks: CheckSpec, journal: Any = None, known: JudgeRates = NEVER_MEASURED
) -> tuple[Verdict, ...]:
    kept = Journal() if journal is None else journal
    model = JournalledModel(ledger=kept, model=ScriptedModel(answer), sampling=Sampling(review_tokens=96))
    judged = [check for check in checks if check.kind == "judge"]
    return ModelJudgePanel(model=model, rates=known).judge(turn_of(job(*checks)), candidate(), judged)


GOOD = ("NO PROBLEMS", "PASS")


@pytest.mark.parametrize(
    ("checks", "votes"), [((RUBRIC,), VOTES_ALONE), ((RUBRIC, PROGRAM), VOTES_BESIDE_PROGRAMS), ((SECRET,), 5)]
)
def test_as_many_differing_prompts_pass_as_the_job_needs(checks: tuple[CheckSpec, ...], votes: int) -> None:
    journal = Journal()
    [verdict] = judge(judges(GOOD), *checks, journal=journal)
    assert (verdict.passed, verdict.score, verdict.feedback) == (True, 1.0, "")
    asked = [request for request, _, _ in journal.calls.values() if not request.choices]
    assert len({request.messages for request in asked}) == votes
    assert len(journal.calls) == 2 * votes


@pytest.mark.parametrize(
    ("model", "prompts", "votes"),
    [
        ("scripted", judging.DIGEST, 2),
        ("another", judging.DIGEST, VOTES_ALONE),
        ("scripted", "other words", VOTES_ALONE),
    ],
)
def test_a_model_that_was_measured_casts_as_many_votes_as_it_takes(model: str, prompts: str, votes: int) -> None:
    """Its votes, two in a row, were shown to keep wrong answers out."""
    journal = Journal()
    known = JudgeRates(models={model: rates((99, 40), (98, 0), prompts=prompts)})
    [verdict] = judge(judges(GOOD), RUBRIC, journal=journal, known=known)
    assert (verdict.passed, verdict.score) == (True, 1.0)
    assert len(journal.calls) == 2 * votes


def test_a_measured_model_s_fail_fails_as_any() -> None:
    known = JudgeRates(models={"scripted": rates((99, 40), (98, 0), prompts=judging.DIGEST)})
    [verdict] = judge(judges(GOOD, (BAD, "FAIL")), RUBRIC, known=known)
    assert (verdict.passed, verdict.score, verdict.feedback) == (False, 1 / 2, BAD)


def test_the_lenses_are_enough_for_every_vote_and_differ() -> None:
    assert len(judging.JUDGE_PROMPTS) > VOTES_ALONE
    assert len({judge_prompt.look for judge_prompt in judging.JUDGE_PROMPTS}) == len(
        {judge_prompt.name for judge_prompt in judging.JUDGE_PROMPTS}
    )


def test_one_valid_fail_fails_at_once_and_hands_on_what_it_quotes() -> None:
    journal = Journal()
    [verdict] = judge(judges(GOOD, (BAD, "FAIL")), RUBRIC, journal=journal)
    assert (verdict.passed, verdict.score, verdict.feedback) == (False, 1 / 5, BAD)
    assert len(journal.calls) == 4


def test_a_report_that_the_second_question_finds_unreal_is_a_pass() -> None:
    [verdict] = judge(judges((BAD, "PASS")), RUBRIC)
    assert verdict.passed


@pytest.mark.parametrize(
    "invalid",
    [
        ("- `words that stand nowhere` are wrong", "FAIL"),
        ("It is bad.", "FAIL"),
        (BAD, "MAYBE"),
        (BAD, ""),
        ("around it goes, and " * 60, "FAIL"),
    ],
    ids=["unproved", "unquoted", "another word", "no word", "a loop"],
)
def test_an_invalid_vote_is_asked_again_once_with_another_seed(invalid: tuple[str, str]) -> None:
    journal = Journal()
    [verdict] = judge(judges(invalid, GOOD), RUBRIC, journal=journal)
    assert verdict.passed
    reports = [request for request, _, _ in journal.calls.values() if not request.choices]
    assert reports[0].messages == reports[1].messages
    assert reports[0].seed != reports[1].seed
    assert len(reports) == VOTES_ALONE + 1


def test_a_lens_without_a_valid_vote_gives_its_place_to_the_next() -> None:
    journal = Journal()
    broken = ("It is bad.", "FAIL")
    [verdict] = judge(judges(broken, broken, GOOD), RUBRIC, journal=journal)
    assert (verdict.passed, verdict.score) == (True, 1.0)
    reports = [request.messages for request, _, _ in journal.calls.values() if not request.choices]
    assert (len(reports), len(set(reports))) == (VOTES_ALONE + 2, VOTES_ALONE + 1)


def test_judges_without_valid_votes_neither_accept_nor_blame() -> None:
    journal = Journal()
    [verdict] = judge(judges(GOOD, ("It is bad.", "FAIL")), RUBRIC, journal=journal)
    assert (verdict.passed, verdict.score) == (False, 1 / 5)
    assert "Only 1 of the 5 votes" in verdict.feedback
    assert len(journal.calls) == 2 + 2 * 2 * (len(judging.JUDGE_PROMPTS) - 1)


@pytest.mark.parametrize("word", ["PASS", " pass.\n", "**PASS**"])
def test_a_word_is_read_without_its_dress(word: str) -> None:
    assert judge(judges(("NO PROBLEMS", word)), RUBRIC)[0].passed


def test_held_out_judges_speak_only_where_the_visible_ones_passed() -> None:
    assert [v.check for v in judge(judges((BAD, "FAIL")), SECRET, RUBRIC)] == ["judge:r.md"]
    both = judge(judges(GOOD), SECRET, RUBRIC)
    assert [(v.check, v.held_out) for v in both] == [("judge:r.md", False), ("judge", True)]


def test_a_turn_that_resumes_finds_its_calls_and_comes_to_the_same_verdict() -> None:
    votes = (GOOD, ("It is bad.", "FAIL"), GOOD, (BAD, "FAIL"))
    whole = Journal()
    expected = judge(judges(*votes), RUBRIC, SECRET, journal=whole)
    for calls in range(len(whole.calls)):
        cut = Journal(limit=calls)
        with pytest.raises(LimitReached):
            judge(judges(*votes), RUBRIC, SECRET, journal=cut)
        resumed = Journal()
        resumed.calls = dict(list(whole.calls.items())[:calls])
        assert list(cut.calls) == list(resumed.calls)

        def rest(request: ChatRequest) -> str:
            return next(made.text for asked, _, made in whole.calls.values() if asked == request)

        assert _plain(judge(rest, RUBRIC, SECRET, journal=resumed)) == _plain(expected)


def test_each_call_has_a_key_of_its_own_for_every_check_and_vote() -> None:
    journal = Journal()
    judge(judges(GOOD), RUBRIC, SECRET, OTHER, journal=journal)
    assert len(journal.calls) == 3 * 2 * VOTES_ALONE
    assert {(key.iteration, key.operator, key.slot) for key in journal.calls} == {(3, Operator.JUDGE, 1)}
    assert {key.attempt for key in journal.calls} == {1}
    parts = itertools.product(("judge:r.md", "judge", "judge#2"), range(1, VOTES_ALONE + 1), ("report", "verdict"))
    assert {(key.check, key.vote, key.step) for key in journal.calls} == set(parts)


def test_seeds_are_those_of_the_first_releases_so_that_their_journals_are_read_on() -> None:
    journal = Journal()
    judge(judges(GOOD), RUBRIC, SECRET, journal=journal)
    seeds = {(key.check, key.vote, key.step): request.seed for key, (request, _, _) in journal.calls.items()}
    first = CallKey(iteration=3, operator=Operator.JUDGE, slot=1, attempt=1)
    # One more for a step, two for a try, four for a vote, twenty-eight for a check.
    for call, number in {
        ("judge:r.md", 1, "report"): 0,
        ("judge:r.md", 1, "verdict"): 1,
        ("judge:r.md", 2, "report"): 4,
        ("judge", 1, "report"): 28,
    }.items():
        assert seeds[call] == call_seed(job(RUBRIC).spec.seed, dataclasses.replace(first, attempt=1 + 10 * number))


def test_the_word_is_asked_for_as_one_of_two_without_chance_and_in_few_tokens() -> None:
    journal = Journal()
    judge(judges(GOOD), RUBRIC, journal=journal)
    words = [request for request, _, _ in journal.calls.values() if request.choices]
    assert {(r.choices, r.temperature, r.max_tokens) for r in words} == {(("PASS", "FAIL"), 0.0, CHOICE_TOKENS)}


def test_a_judge_sees_its_own_rubric_and_nothing_of_the_other_hidden_checks() -> None:
    seen: dict[str, set[str]] = {}

    def answer(request: ChatRequest) -> str:
        text = request.messages[-1].content
        rubric = next(r for r in ("§secret§", "It rhymes.", "# The rubric") if r in text)
        seen.setdefault(rubric, set()).add(text)
        return "PASS" if request.choices else "NO PROBLEMS"

    judge(answer, RUBRIC, SECRET, OTHER)
    assert not any("It rhymes." in text for text in seen["§secret§"])
    assert not any("§secret§" in text for text in seen["It rhymes."])
    assert all("It is friendly." in text for text in seen["# The rubric"])


def test_prompts_of_judges_begin_as_the_others_do_and_share_the_candidate() -> None:

    subject = job(RUBRIC, SECRET)
    [_, drafted] = build.draft(subject)
    prefix = drafted.content.partition("# Task")[0]
    asked = [
        judging.report(subject, candidate(), SECRET, judge_prompt)[-1].content for judge_prompt in judging.JUDGE_PROMPTS
    ]
    asked.append(judging.verdict(subject, candidate(), SECRET, (BAD,))[-1].content)
    shared = asked[0][: asked[0].index("§secret§")]
    assert shared.startswith(prefix)
    assert LETTER in shared
    assert all(prompt.startswith(shared) for prompt in asked)


def test_a_long_answer_is_read_whole_up_to_what_a_window_holds() -> None:
    long = candidate("word " * 3_500 + "the end")
    prompt = judging.report(job(RUBRIC), long, RUBRIC, judging.JUDGE_PROMPTS[0])[-1].content
    assert long.text in prompt
    endless = dataclasses.replace(long, text="word " * 50_000)
    assert len(judging.report(job(RUBRIC), endless, RUBRIC, judging.JUDGE_PROMPTS[0])[-1].content) < 30_000


def _plain(verdicts: tuple[Verdict, ...]) -> list[tuple[object, ...]]:
    return [(v.check, v.passed, v.score, v.feedback) for v in verdicts]
