"""The second agent: differing prompts, proven problems, any fail fails, invalid votes asked again once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tasks import window
from tasks.journal import JournalledModel, Sampling
from tasks.jury import VOTES_ALONE, VOTES_BESIDE_CHECKS, Jury
from tasks.llm.scripted import ScriptedModel
from tasks.types import (
    CallKey,
    Candidate,
    CandidateRef,
    ChatRequest,
    CheckSpec,
    Claim,
    Completion,
    Job,
    JobSpec,
    Lane,
    Operator,
    Spend,
    Verdict,
)

CLAIM = Claim(job=1, epoch=1, worker="w", turn="t")
REF = CandidateRef(iteration=2, slot=1)
CANDIDATE = Candidate(ref=REF, operator=Operator.DRAFT, text="Rome was founded on seven hills.", root=REF)
RUBRIC = CheckSpec(name="judge", kind="judge", value="It must be short and true.")
HIDDEN = CheckSpec(name="judge#2", kind="judge", value="It must not name hills.", held_out=True)
EXACT = CheckSpec(name="answer", kind="answer", value="42")


class Journal:
    """The calls of one job, in memory: as much of a ledger as a model needs."""

    def __init__(self) -> None:
        self.calls: dict[CallKey, tuple[ChatRequest, Completion]] = {}

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> Completion | None:
        found = self.calls.get(key)
        assert found is None or window.prompt_hash(found[0]) == prompt_hash
        return found[1] if found else None

    def reserve(self, claim: Claim, key: CallKey, tokens: int) -> None: ...

    def commit_call(self, claim: Claim, key: CallKey, request: ChatRequest, prompt_hash: str, made: Completion) -> None:
        assert key not in self.calls
        self.calls[key] = (request, made)


class Still:
    """A pulse that never stops the step."""

    def beat(self, tokens: int = 0) -> None: ...

    def expect_silence(self, seconds: float) -> None: ...

    def check(self) -> None: ...


def job(*checks: CheckSpec) -> Job:
    return Job(
        id=1,
        owner="ada",
        spec=JobSpec(title="t", problem="Say something of Rome.", checks=checks),
        lane=Lane.GPU,
        history=(),
        open=None,
        incumbent=None,
        spend=Spend(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def deliberate(
    answer: Callable[[ChatRequest], str], *checks: CheckSpec, journal: Journal | None = None
) -> tuple[tuple[Verdict, ...], Journal]:
    kept = journal if journal is not None else Journal()
    model = JournalledModel(ledger=kept, model=ScriptedModel(answer), sampling=Sampling())  # type: ignore[arg-type]
    judges = [check for check in checks if check.kind == "judge"]
    return Jury(model=model).deliberate(CLAIM, job(*checks), CANDIDATE, judges, Still()), kept


def no_problems(request: ChatRequest) -> str:
    return "NO PROBLEMS"


def is_ruling(request: ChatRequest) -> bool:
    return bool(request.choices)


def test_judges_alone_need_five_passes_over_differing_prompts_and_fewer_beside_checks() -> None:
    for checks, votes in (((RUBRIC,), VOTES_ALONE), ((EXACT, RUBRIC), VOTES_BESIDE_CHECKS)):
        (verdict,), journal = deliberate(no_problems, *checks)
        prompts = {request.messages[-1].content for request, _ in journal.calls.values()}
        assert verdict.passed
        assert verdict.score == 1.0
        assert len(journal.calls) == len(prompts) == votes


def test_any_fail_fails_and_brings_only_problems_that_quote_the_answer() -> None:
    def answer(request: ChatRequest) -> str:
        if is_ruling(request):
            return "FAIL"
        return "- `seven hills` is not proven\n- `eight rivers` do not exist"

    (verdict,), journal = deliberate(answer, RUBRIC)
    assert not verdict.passed
    assert verdict.feedback == "- `seven hills` is not proven"
    assert len(journal.calls) == 2  # nobody else is asked


def test_a_problem_that_the_ruling_finds_unreal_does_not_fail() -> None:
    (verdict,), _ = deliberate(lambda r: "PASS" if is_ruling(r) else "- `seven hills` sounds odd", RUBRIC)
    assert verdict.passed


@pytest.mark.parametrize(
    ("report", "ruling"),
    [("- `eight rivers` do not exist", "FAIL"), ("It is bad.", "FAIL"), ("- `seven hills` is odd", "perhaps")],
)
def test_an_invalid_vote_is_asked_again_once_and_never_fails_the_candidate(report: str, ruling: str) -> None:
    (verdict,), journal = deliberate(lambda r: ruling if is_ruling(r) else report, EXACT, RUBRIC)
    assert not verdict.passed
    assert "too few" in verdict.feedback
    assert "rivers" not in verdict.feedback
    assert len(journal.calls) == VOTES_BESIDE_CHECKS * 2 * 2  # each vote twice, report and ruling


def test_a_vote_that_is_valid_at_the_second_try_counts() -> None:
    seen: list[str] = []

    def answer(request: ChatRequest) -> str:
        if is_ruling(request):
            return "FAIL"
        prompt = request.messages[-1].content
        seen.append(prompt)
        return "- `eight rivers`" if seen.count(prompt) == 1 else "NO PROBLEMS"

    (verdict,), _ = deliberate(answer, EXACT, RUBRIC)
    assert verdict.passed


def test_a_degenerate_report_is_no_vote() -> None:
    (verdict,), _ = deliberate(lambda r: "FAIL" if is_ruling(r) else "and so on it goes " * 100, EXACT, RUBRIC)
    assert not verdict.passed
    assert verdict.score == 0.0
    assert "too few" in verdict.feedback


def test_a_resumed_turn_finds_its_votes_in_the_journal() -> None:
    _, journal = deliberate(lambda r: "PASS" if is_ruling(r) else "- `seven hills` sounds odd", RUBRIC, HIDDEN)
    before = dict(journal.calls)

    def refuse(request: ChatRequest) -> str:
        raise AssertionError("asked again")

    verdicts, _ = deliberate(refuse, RUBRIC, HIDDEN, journal=journal)
    assert [verdict.passed for verdict in verdicts] == [True, True]
    assert journal.calls == before


def test_a_held_out_rubric_is_judged_last_and_shown_to_no_other_prompt() -> None:
    def answer(request: ChatRequest) -> str:
        return "FAIL" if is_ruling(request) else "- `seven hills` is odd"

    verdicts, journal = deliberate(answer, HIDDEN, RUBRIC)
    assert [verdict.check for verdict in verdicts] == ["judge"]
    assert not any("not name hills" in r.messages[-1].content for r, _ in journal.calls.values())
    drafted = window.draft(job(HIDDEN, RUBRIC))[-1].content
    assert "short and true" in drafted
    assert "not name hills" not in drafted
