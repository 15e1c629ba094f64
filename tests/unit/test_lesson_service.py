"""The lesson service: what is recalled, what an ended job teaches, and what it must never tell."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.journal import JournalledModel
from tasks.lesson_service import MemoryLessonService, family_of
from tasks.llm.scripted import ScriptedModel
from tasks.memory.embedder import Embedder
from tasks.memory.ranking import is_worth_recalling
from tasks.memory.twin import InMemoryBank
from tasks.sampling import Sampling
from tasks.thompson import Counts
from tasks.types import (
    Acceptance,
    CallKey,
    Candidate,
    CandidateRef,
    ChatRequest,
    CheckSpec,
    Experience,
    GuardKind,
    Iteration,
    Job,
    JobSpec,
    Lane,
    Lesson,
    LessonKind,
    Operator,
    Record,
    Spend,
    Stop,
    StopCode,
    Verdict,
)
from tests.doubles import Journal
from tests.turns import turn_of

MODEL = Embedder()
SAID = """Here it is:
**WHEN:** counting letters
of a text
**DO**: lower-case it first

AVOID: comparing raw text

Good luck!"""
SECRET = "assert count_vowels('SECRETWORD') == 3"
VISIBLE = CheckSpec(
    name="python:visible.py", kind="python", value={"file": "visible.py"}, files={"visible.py": "# shown\n"}
)
HIDDEN = CheckSpec(
    name="python:hidden.py",
    kind="python",
    value={"file": "hidden.py"},
    files={"hidden.py": f"def test_it():\n    {SECRET}\n"},
    held_out=True,
)
ANSWER = CheckSpec(name="answer:answer", kind="answer", value={"number": "1729", "tolerance": 2}, held_out=True)
JUDGE = CheckSpec(name="judge:style", kind="judge", value={"rubric": "is it pretty?"})
VERIFIED = Stop(code=StopCode.ACCEPTED, acceptance=Acceptance.VERIFIED)
JUDGED = Stop(code=StopCode.ACCEPTED, acceptance=Acceptance.JUDGED)
UNSOLVED = Stop(code=StopCode.GAVE_UP)


@dataclasses.dataclass
class Records:
    """Helped and hurt, by lesson."""

    counted: Mapping[int, tuple[int, int]]
    known: Experience = dataclasses.field(default_factory=Experience)

    def records(self, lessons: Sequence[int]) -> Mapping[int, Record]:
        return {n: Record(helped=self.counted[n][0], hurt=self.counted[n][1]) for n in lessons if n in self.counted}

    def experience(self, owner: str, family: str) -> Experience:
        return self.known if (owner, family) == ("ada", "python") else Experience()


def lesson_service(
    answer: Callable[[ChatRequest], str] = lambda request: SAID,
    records: Mapping[int, tuple[int, int]] = {},
    known: Experience = Experience(),  # noqa: B008
) -> tuple[MemoryLessonService, InMemoryBank, Journal]:
    journal, bank = Journal(), InMemoryBank(MODEL)
    model = JournalledModel(ledger=journal, model=ScriptedModel(answer), sampling=Sampling())  # type: ignore[arg-type]
    return MemoryLessonService(bank=bank, model=model, records=Records(records, known)), bank, journal


def job(*checks: CheckSpec, title: str = "Count the vowels", **fields: Any) -> Job:
    problem = "Write count_vowels(text), which returns how many vowels are in text. Capitals count too."
    return Job(
        id=7,
        owner="ada",
        spec=JobSpec(title=title, problem=problem, checks=checks or (VISIBLE, HIDDEN)),
        lane=Lane.GPU,
        history=(),
        open=None,
        incumbent=None,
        spend=Spend(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        **fields,
    )


def past(*candidates: tuple[str, tuple[Verdict, ...]], accepted: bool = False) -> tuple[Iteration, ...]:
    """One iteration a candidate; the last one is the accepted one, if any."""
    rounds = []
    for number, (text, verdicts) in enumerate(candidates, start=1):
        ref = CandidateRef(iteration=number, slot=0)
        made = Candidate(
            ref=ref,
            operator=Operator.DRAFT,
            text=text,
            root=ref,
            verdicts=verdicts,
            score=0.5,
            accepted=accepted and number == len(candidates),
        )
        rounds.append(Iteration(number=number, operator=Operator.DRAFT, candidates=(made,)))
    return tuple(rounds)


def ended(given: Job, history: tuple[Iteration, ...], end: Stop) -> Job:
    return dataclasses.replace(given, history=history, ended=end)


def says(check: CheckSpec, feedback: str, *, passed: bool = False) -> Verdict:
    score = float(passed)
    return Verdict(
        check=check.name, kind=check.kind, passed=passed, score=score, held_out=check.held_out, feedback=feedback
    )


PASSED = (says(VISIBLE, "", passed=True), says(HIDDEN, "", passed=True))
FAILED = (says(VISIBLE, "assert 2 == 3, for 'APPLE'"), says(HIDDEN, SECRET))


def prompt(journal: Journal) -> str:
    ((request, _, _),) = journal.calls.values()
    return "\n".join(message.content for message in request.messages)


def kept(number: int, kind: LessonKind, situation: str, **fields: str) -> Lesson:
    given = {"owner": "ada", "family": "python", "advice": "lower-case it first", "avoid": "", **fields}
    return Lesson(id=number, job=1, kind=kind, situation=situation, evidence="job 1", **given)


# ── recall ────────────────────────────────────────────────────────────────────────────────────


def test_one_success_and_one_failure_that_fit_are_recalled() -> None:
    made, bank, _ = lesson_service()
    for number, kind in ((1, LessonKind.SUCCESS), (2, LessonKind.FAILURE), (3, LessonKind.SUCCESS)):
        bank.upsert(kept(number, kind, "counting vowels in a text"))
    recalled = made.recall(job())
    assert [lesson.kind for lesson in recalled] == [LessonKind.SUCCESS, LessonKind.FAILURE]


def test_a_lesson_on_another_kind_of_problem_is_not_recalled() -> None:
    made, bank, _ = lesson_service()
    bank.upsert(kept(1, LessonKind.SUCCESS, "the mean of a list that may be empty", advice="check for zero length"))
    bank.upsert(kept(2, LessonKind.FAILURE, "shortest addition chains", advice="search with iterative deepening"))
    assert made.recall(job()) == ()


@pytest.mark.parametrize(
    ("records", "recalled"),
    [
        ({}, {3}),  # the newest of those that fit alike
        ({1: (4, 0)}, {1}),
        ({1: (4, 0), 2: (1, 4), 3: (1, 1)}, {1}),
        ({3: (0, 3)}, {1, 2}),
        ({1: (0, 4), 2: (0, 4), 3: (1, 8)}, set()),  # of no use: four jobs in vain, or eight of nine
        ({1: (0, 4), 2: (0, 4), 3: (1, 7)}, {3}),
    ],
)
def test_of_lessons_that_fit_those_that_helped_come_first_and_those_that_never_do_no_more(
    records: dict[int, tuple[int, int]], recalled: set[int]
) -> None:
    made, bank, _ = lesson_service(records=records)
    for number in (1, 2, 3):
        bank.upsert(kept(number, LessonKind.SUCCESS, "counting vowels in a text"))
    found = {lesson.id for lesson in made.recall(job())}
    assert found <= recalled
    assert bool(found) is bool(recalled)


@pytest.mark.parametrize(
    ("taught", "without", "recalls"),
    [((0, 7), (9, 0), 100), ((0, 30), (30, 0), 0), ((30, 0), (0, 30), 100), ((0, 0), (0, 0), 100)],
)
def test_where_jobs_do_better_without_lessons_few_recall_any(
    taught: tuple[int, int], without: tuple[int, int], recalls: int
) -> None:
    known = Experience(
        taught=Counts(solved=taught[0], failed=taught[1]), without=Counts(solved=without[0], failed=without[1])
    )
    assert sum(is_worth_recalling(known, random.Random(number)) for number in range(100)) == recalls
    made, bank, _ = lesson_service(known=known)
    bank.upsert(kept(1, LessonKind.SUCCESS, "counting vowels in a text"))
    assert bool(made.recall(job())) is bool(recalls)


def test_where_nobody_knows_half_of_the_jobs_recall_lessons() -> None:
    known = Experience(taught=Counts(solved=8, failed=8), without=Counts(solved=8, failed=8))
    assert 30 < sum(is_worth_recalling(known, random.Random(number)) for number in range(100)) < 70


def test_what_fits_much_better_comes_before_what_helped_once() -> None:
    made, bank, _ = lesson_service(records={1: (1, 0)})
    bank.upsert(kept(1, LessonKind.SUCCESS, "counting words in a sentence", advice="split it at its spaces"))
    bank.upsert(kept(2, LessonKind.SUCCESS, "counting vowels in a text, capitals too"))
    assert [lesson.id for lesson in made.recall(job())] == [2]


@pytest.mark.parametrize("other", [{"owner": "bob"}, {"family": "answer"}])
def test_nothing_of_another_owner_or_family_is_recalled(other: dict[str, str]) -> None:
    made, bank, _ = lesson_service()
    bank.upsert(kept(1, LessonKind.SUCCESS, "counting vowels in a text", **other))
    assert made.recall(job()) == ()


def test_a_family_is_the_kinds_of_the_checks() -> None:
    assert family_of(job(VISIBLE, HIDDEN, ANSWER)) == "answer+python"


# ── what a success teaches ────────────────────────────────────────────────────────────────────


def test_an_accepted_answer_leaves_what_worked_by_one_call_of_the_last_iteration() -> None:
    made, _, journal = lesson_service()
    history = past(("WRONG TEXT", FAILED), ("RIGHT TEXT", PASSED), accepted=True)
    lesson = made.distil(turn_of(ended(job(), history, VERIFIED)))
    assert lesson is not None
    assert (lesson.kind, lesson.owner, lesson.family, lesson.job) == (LessonKind.SUCCESS, "ada", "python", 7)
    assert lesson.situation == "counting letters of a text"
    assert lesson.advice == "lower-case it first"
    assert lesson.avoid == "comparing raw text"
    assert lesson.evidence == ("job 7: accepted by python:visible.py, 1 hidden check; score 0.50, iteration 2 of 2")
    assert list(journal.calls) == [CallKey(iteration=2, operator=Operator.DISTIL, slot=0, attempt=1)]
    shown = prompt(journal)
    assert "RIGHT TEXT" in shown
    assert "WRONG TEXT" not in shown
    assert journal.calls[next(iter(journal.calls))][0].max_tokens == Sampling().lesson_tokens


def test_what_judges_alone_accepted_teaches_nothing() -> None:
    made, _, journal = lesson_service()
    verdict = says(JUDGE, "pretty", passed=True)
    assert made.distil(turn_of(ended(job(JUDGE), past(("TEXT", (verdict,)), accepted=True), JUDGED))) is None
    assert not journal.calls


def test_no_lesson_is_made_of_lessons() -> None:
    made, _, journal = lesson_service()
    given = job(lessons=(kept(1, LessonKind.SUCCESS, "an EARLIER situation"),))
    made.distil(turn_of(ended(given, past(("TEXT", PASSED), accepted=True), VERIFIED)))
    assert "EARLIER" not in prompt(journal)


# ── what failures teach ───────────────────────────────────────────────────────────────────────


def test_failures_teach_by_what_visible_checks_said_and_never_by_a_candidates_text() -> None:
    made, _, journal = lesson_service()
    lesson = made.distil(turn_of(ended(job(), past(("WRONG TEXT", FAILED), ("WRONG TOO", FAILED)), UNSOLVED)))
    assert lesson is not None
    assert lesson.kind is LessonKind.FAILURE
    assert lesson.evidence.startswith("job 7: not accepted by python:visible.py, 1 hidden check")
    shown = prompt(journal)
    assert shown.count("for 'APPLE'") == 1
    assert "WRONG" not in shown


def test_failures_that_only_hidden_checks_or_judges_saw_teach_nothing() -> None:
    made, _, journal = lesson_service()
    verdicts = (says(VISIBLE, "", passed=True), says(HIDDEN, SECRET), says(JUDGE, "not pretty"))
    given = job(VISIBLE, HIDDEN, JUDGE)
    assert made.distil(turn_of(ended(given, past(("TEXT", verdicts)), UNSOLVED))) is None
    assert not journal.calls


def test_a_degenerate_candidate_teaches_nothing() -> None:
    made, _, journal = lesson_service()
    (round_,) = past(("TEXT", FAILED))
    looped = dataclasses.replace(round_.candidates[0], guard=GuardKind.CYCLE)
    history = (dataclasses.replace(round_, candidates=(looped,)),)
    assert made.distil(turn_of(ended(job(), history, UNSOLVED))) is None
    assert not journal.calls


def test_a_text_that_the_guard_cut_off_is_no_lesson_though_its_three_lines_are_whole() -> None:
    made, _, journal = lesson_service(lambda request: SAID + "\n" + "and on it goes " * 200)
    history = past(("TEXT", PASSED), accepted=True)
    assert made.distil(turn_of(ended(job(), history, VERIFIED))) is None
    assert len(journal.calls) > 1  # each rung of the ladder was tried


# ── what must never be told ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", [VERIFIED, UNSOLVED])
def test_nothing_of_a_held_out_check_is_in_the_prompt(end: Stop) -> None:
    made, _, journal = lesson_service()
    given = job(VISIBLE, HIDDEN, ANSWER)
    verdicts = (says(VISIBLE, "assert 2 == 3"), says(HIDDEN, SECRET), says(ANSWER, "expected 1729"))
    history = past(("It is\nANSWER: 1729", verdicts), accepted=end is VERIFIED)
    assert made.distil(turn_of(ended(given, history, end))) is not None
    shown = prompt(journal)
    assert not any(word in shown for word in ("SECRETWORD", "hidden.py", "1729"))


@pytest.mark.parametrize("leak", [SECRET, "the result is 1729.", "ANSWER 1729"])
def test_a_lesson_that_gives_a_held_out_check_away_is_not_kept(leak: str) -> None:
    made, _, _ = lesson_service(lambda request: f"WHEN: counting\nDO: remember {leak}\nAVOID: haste")
    history = past(("TEXT", PASSED), accepted=True)
    assert made.distil(turn_of(ended(job(VISIBLE, HIDDEN, ANSWER), history, VERIFIED))) is None


def test_an_expected_answer_that_visible_feedback_names_is_not_shown() -> None:
    made, _, journal = lesson_service()
    visible = dataclasses.replace(ANSWER, held_out=False)
    history = past(("TEXT", (says(visible, "expected 1729, got 3"),)))
    made.distil(turn_of(ended(job(visible), history, UNSOLVED)))
    assert "1729" not in prompt(journal)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "No lesson.",
        "WHEN: counting letters",
        "DO: this\nAVOID: that",
        "WHEN: (the kind of problem)\nDO: (what to do)\nAVOID: (the mistake to avoid)",
        "round and round it goes, " * 100,
    ],
)
def test_words_that_are_no_lesson_leave_none(said: str) -> None:
    made, _, _ = lesson_service(lambda request: said)
    assert made.distil(turn_of(ended(job(), past(("TEXT", PASSED), accepted=True), VERIFIED))) is None


def test_a_lesson_is_short_whatever_the_model_wrote() -> None:
    long = " ".join(f"word{n}" for n in range(100))
    made, _, _ = lesson_service(lambda request: f"WHEN: {long}\nDO: count\nWHEN: again\nDO: again")
    lesson = made.distil(turn_of(ended(job(), past(("TEXT", PASSED), accepted=True), VERIFIED)))
    assert lesson is not None
    assert len(lesson.situation) <= 402
    assert (lesson.advice, lesson.avoid) == ("count", "")
