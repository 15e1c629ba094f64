"""Prompts: bounded, still, the same at their beginning, and without a word of what is held out."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import judge_prompts, window
from tasks.types import (
    Attachment,
    Candidate,
    CandidateRef,
    ChatRequest,
    CheckSpec,
    Cut,
    GuardKind,
    Iteration,
    Job,
    JobSpec,
    Lane,
    Lesson,
    LessonKind,
    Message,
    Operator,
    Spend,
    Verdict,
)

GOLDEN = Path(__file__).with_name("golden")
VISIBLE = CheckSpec(
    name="python:visible.py",
    kind="python",
    value={"file": "visible.py"},
    files={"visible.py": "from solution import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n"},
)
HIDDEN = CheckSpec(
    name="python:hidden.py",
    kind="python",
    value={"file": "hidden.py"},
    files={"hidden.py": "from solution import add\n\n\ndef test_more():\n    assert add(-7, 4) == -3\n"},
    held_out=True,
)
RUBRIC = CheckSpec(name="judge:r.md", kind="judge", value="r.md", files={"r.md": "1. It adds.\n2. It is short.\n"})
BY_GOAL = CheckSpec(name="judge", kind="judge", value="", held_out=True)
ANSWER = CheckSpec(name="answer", kind="answer", value={"number": "1729", "tolerance": None})


def _job(*checks: CheckSpec, problem: str = "Add two numbers.", title: str = "Addition") -> Job:
    return Job(
        id=1,
        owner="alice",
        spec=JobSpec(title=title, problem=problem, checks=checks),
        lane=Lane.GPU,
        history=(),
        open=None,
        incumbent=None,
        spend=Spend(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def _candidate(text: str, *verdicts: Verdict) -> Candidate:
    ref = CandidateRef(iteration=1, slot=0)
    return Candidate(ref=ref, operator=Operator.DRAFT, text=text, root=ref, verdicts=verdicts)


def _failed(check: CheckSpec, feedback: str, *, held_out: bool | None = None) -> Verdict:
    hidden = check.held_out if held_out is None else held_out
    return Verdict(check=check.name, kind=check.kind, passed=False, score=0.0, held_out=hidden, feedback=feedback)


def _prompts(job: Job, parent: Candidate, bugs: tuple[str, ...] = (), cut: Cut = window.WHOLE) -> dict[str, str]:
    made = {
        "draft": window.draft(job, cut=cut),
        "review": window.review(job, parent, cut=cut),
        "revise": window.revise(job, parent, bugs, cut=cut),
    }
    return {name: "".join(f"[{m.role}]\n{m.content}\n" for m in messages) for name, messages in made.items()}


CODE = _candidate(
    "```python\ndef add(a, b):\n    return a - b\n```",
    _failed(VISIBLE, "test_add: assert -1 == 5"),
    _failed(HIDDEN, "test_more: assert -11 == -3"),
)
NUMBER = _candidate("It is\nANSWER: 12", _failed(ANSWER, "expected 1729, got 12"))


@pytest.mark.parametrize("operator", ["draft", "review", "revise"])
@pytest.mark.parametrize("kind", ["python", "answer"])
def test_prompts_stand_still(operator: str, kind: str) -> None:
    job, parent, bugs = (
        (_job(VISIBLE, HIDDEN), CODE, ("`a - b` subtracts.",)) if kind == "python" else (_job(ANSWER), NUMBER, ())
    )
    assert _prompts(job, parent, bugs)[operator] == (GOLDEN / f"{operator}_{kind}.txt").read_text()


@pytest.mark.parametrize(("name", "check"), [("rubric", RUBRIC), ("goal", BY_GOAL)])
def test_the_prompts_of_judges_stand_still(name: str, check: CheckSpec) -> None:
    job = _job(VISIBLE, check)
    made = {
        "report": judge_prompts.report(job, CODE, check, judge_prompts.JUDGE_PROMPTS[0]),
        "verdict": judge_prompts.verdict(job, CODE, check, ("`a - b` subtracts.",)),
    }
    for step, messages in made.items():
        shown = "".join(f"[{m.role}]\n{m.content}\n" for m in messages)
        assert shown == (GOLDEN / f"{step}_{name}.txt").read_text()


def test_a_visible_rubric_is_shown_to_whoever_writes_and_a_held_out_one_is_not() -> None:
    hidden = dataclasses.replace(RUBRIC, files={"r.md": "1. It rhymes."}, name="judge:h.md", held_out=True)
    for prompt in _prompts(_job(RUBRIC, hidden, BY_GOAL), CODE).values():
        assert "1. It adds.\n2. It is short." in prompt
        assert "rhymes" not in prompt
    assert "rubric" not in _prompts(_job(BY_GOAL), CODE)["draft"]


def test_a_sentence_to_judge_by_is_a_rubric_too() -> None:
    sentence = CheckSpec(name="judge", kind="judge", value="It is polite.")
    assert "judged by this rubric:\n```\nIt is polite.\n```" in _prompts(_job(sentence), CODE)["draft"]


def test_the_beginning_is_the_same_for_every_operator() -> None:
    job = _job(VISIBLE, HIDDEN, problem="Add two numbers. " * 50)
    prompts = _prompts(job, CODE)
    shared, _, _ = prompts["draft"].partition("# Task")
    assert all(prompt.startswith(shared) for prompt in prompts.values())
    assert job.spec.problem.strip() in shared
    assert VISIBLE.files["visible.py"].strip() in shared


secret = st.text("ghijkqxz", min_size=8, max_size=40).map(lambda text: f"§{text}§")


@given(
    name=secret,
    file=secret,
    text=secret,
    value=secret,
    feedback=secret,
    marked=st.booleans(),
    shorten=st.integers(0, 1),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("kind", ["python", "answer", "schema", "command", "judge"])
def test_nothing_of_a_held_out_check_is_ever_in_a_prompt(
    kind: str, name: str, file: str, text: str, value: str, feedback: str, marked: bool, shorten: int
) -> None:
    hidden = CheckSpec(name=name, kind=kind, value={"exact": value}, files={file: text}, held_out=True)
    parent = _candidate("def add(): ...", _failed(VISIBLE, "no"), _failed(hidden, feedback, held_out=marked))
    for operator, prompt in _prompts(_job(VISIBLE, hidden), parent, (), Cut(ground=shorten, rest=shorten)).items():
        for kept in (name, file, text, value, feedback):
            assert kept not in prompt
        assert (window.HIDDEN_FAILED in prompt) is (operator != "draft")


def test_a_verdict_of_an_unknown_check_is_not_shown() -> None:
    other = CheckSpec(name="python:old.py", kind="python", value={})
    assert "leak" not in _prompts(_job(VISIBLE), _candidate("x", _failed(other, "leak")))["revise"]


def test_an_expected_answer_is_never_shown() -> None:
    for prompt in _prompts(_job(ANSWER), NUMBER).values():
        assert "1729" not in prompt
        assert "ANSWER: …" in prompt or "List the problems" in prompt


@pytest.mark.parametrize("shorten", [0, 1])
def test_a_prompt_is_bounded_however_long_its_parts_are(shorten: int) -> None:
    long = dataclasses.replace(VISIBLE, files={"visible.py": "assert 1  # tests\n" * 5_000})
    parent = _candidate("line of code\n" * 5_000, _failed(long, "it failed here\n" * 5_000))
    prompts = _prompts(
        _job(long, problem="words " * 20_000),
        parent,
        ("`line of code` is bad " * 500,),
        Cut(ground=shorten, rest=shorten),
    )
    limit = window.PROBLEM_CHARS + window.CANDIDATE_CHARS + 2 * window.FEEDBACK_CHARS + window.TESTS_CHARS
    assert max(map(len, prompts.values())) < (limit >> shorten) + 1_500


@pytest.mark.parametrize("ground", [0, 3])
def test_the_ground_alone_is_the_beginning_of_every_prompt_whose_ground_is_cut_as_far(ground: int) -> None:
    job = _job(VISIBLE, problem="words " * 5_000)
    alone = {window.draft(job, cut=Cut(ground=ground, rest=None))[-1].content}
    alone |= {window.review(job, CODE, cut=Cut(ground=ground, rest=None))[-1].content}
    shared = alone.pop()
    assert not alone
    for rest in (0, 1, 7):
        for prompt in _prompts(job, CODE, cut=Cut(ground=ground, rest=rest)).values():
            assert prompt.partition("[user]\n")[2].startswith(shared)


def _attach(job: Job, *files: tuple[str, str, str]) -> Job:
    """With each of (name, media type, content)."""
    attachments = tuple(Attachment(name=n, media_type=m, sha256=f"hash of {c}", bytes=len(c)) for n, m, c in files)
    texts = {f"hash of {c}": c for _, media_type, c in files if media_type.startswith("text/")}
    return dataclasses.replace(job, spec=dataclasses.replace(job.spec, attachments=attachments), texts=texts)


def test_attached_texts_follow_the_problem_and_media_go_with_the_message_of_every_operator() -> None:
    files = ("a.png", "image/png", "PNG"), ("data.csv", "text/plain", "x,y\n1,2\n"), ("b.wav", "audio/wav", "RIFF")
    job = _attach(_job(VISIBLE), *files)
    shared, _, _ = _prompts(job, CODE)["draft"].partition("# Task")
    assert (
        "Add two numbers.\n\nAttached before this text, in this order: a.png, b.wav\n\nAttached file data.csv" in shared
    )
    assert "data.csv:\n```\nx,y\n1,2\n```\n\nsolution.py will be checked" in shared
    for messages in (window.draft(job), window.review(job, CODE), window.revise(job, CODE, ())):
        assert "".join(f"[{m.role}]\n{m.content}\n" for m in messages).startswith(shared)
        assert [a.name for a in messages[-1].attachments] == ["a.png", "b.wav"]
        assert messages[0].attachments == ()


@pytest.mark.parametrize("shorten", [0, 1])
def test_long_attached_texts_share_what_the_short_ones_leave(shorten: int) -> None:
    room = window.ATTACHED_CHARS >> shorten
    files = [(f"{n}.txt", "text/plain", f"{n}" * length) for n, length in ((1, 50_000), (2, 100), (3, 60_000))]
    prompt = _prompts(_attach(_job(ANSWER), *files), NUMBER, cut=Cut(ground=shorten))["draft"]
    assert "2" * 100 in prompt
    assert min(prompt.count("1"), prompt.count("3")) > 0.45 * room  # an even share would be a third
    assert len(prompt) < room + 1_000


def test_a_fence_in_a_candidate_does_not_end_its_block() -> None:
    prompt = _prompts(_job(VISIBLE), CODE)["review"]
    assert "````\n```python\ndef add(a, b):\n    return a - b\n```\n````" in prompt


def test_the_last_line_of_a_draft_is_a_short_order() -> None:
    for checks in ((VISIBLE,), (ANSWER,), (HIDDEN,), (RUBRIC,)):
        last = window.draft(_job(*checks))[-1].content.splitlines()[-1]
        assert len(last) < 80
        assert last.endswith(".")


@pytest.mark.parametrize(
    ("review", "found"),
    [
        ("- `return a - b` subtracts", ("`return a - b` subtracts",)),
        ('1. The line "return a - b" subtracts\n   instead of adding.', 2),
        ("- `return a * b` multiplies", ()),
        ("- It is wrong somewhere", ()),
        ("NO PROBLEMS", ()),
        ("", ()),
        ("`return a - b` subtracts", ("`return a - b` subtracts",)),
        ("- wrong:\n```python\n    return a - b\n```", 1),
        ("- `a`", ()),
    ],
)
def test_only_problems_that_quote_the_candidate_count(review: str, found: tuple[str, ...] | int) -> None:
    bugs = window.bugs(review, CODE.text)
    assert bugs == found if isinstance(found, tuple) else len(bugs) == 1


def test_at_most_five_different_problems_are_kept() -> None:
    review = "\n".join(f"- `return a - b` is wrong for reason {n // 2}" for n in range(20))
    assert len(window.bugs(review, CODE.text)) == window.BUGS
    assert len(set(window.bugs(review, CODE.text))) == window.BUGS


@given(review=st.text(max_size=300), candidate=st.text(max_size=300))
def test_any_review_can_be_read(review: str, candidate: str) -> None:
    assert len(window.bugs(review, candidate)) <= window.BUGS


def test_the_hash_tells_prompts_and_samplings_apart() -> None:
    request = ChatRequest(messages=(Message(role="user", content="a"),))
    others = [dataclasses.replace(request, seed=1), dataclasses.replace(request, messages=())]
    assert window.prompt_hash(request) == window.prompt_hash(dataclasses.replace(request))
    assert len({window.prompt_hash(r) for r in [request, *others]}) == 3
    assert len(window.prompt_hash(request)) == 64


def _tried(number: int, text: str, score: float, *verdicts: Verdict) -> Iteration:
    ref = CandidateRef(iteration=number, slot=0)
    made = Candidate(ref=ref, operator=Operator.DRAFT, text=text, root=ref, score=score, verdicts=verdicts)
    return Iteration(number=number, operator=Operator.DRAFT, candidates=(made,))


def test_an_escalation_shows_the_nearest_tries_with_what_the_visible_checks_say() -> None:
    verdict = _failed(VISIBLE, "assert -1 == 5"), _failed(HIDDEN, "assert 11 == -3")
    past = [_tried(n, f"try number {n}", n % 5 / 10, *verdict) for n in range(1, 9)]
    job = dataclasses.replace(_job(VISIBLE, HIDDEN), history=tuple(past))
    system, user = window.escalate(job)
    assert system.role == "system"
    shown = [n for n in range(1, 9) if f"try number {n}" in user.content]
    assert shown == [3, 4, 8]
    assert user.content.index("try number 4") < user.content.index("try number 8")
    assert "assert -1 == 5" in user.content
    assert window.HIDDEN_FAILED in user.content
    for word in ("hidden.py", "assert 11", "-7"):
        assert word not in user.content
    assert user.content.startswith("# Problem: Addition\nAdd two numbers.")


def test_an_escalation_shows_equal_tries_once_and_degenerate_ones_never() -> None:
    loop = _tried(3, "round and round", 1.0)
    looped = dataclasses.replace(
        loop, candidates=tuple(dataclasses.replace(c, guard=GuardKind.CYCLE) for c in loop.candidates)
    )
    past = (_tried(1, "the same", 0.5), _tried(2, "the  same\n", 0.5), looped)
    (_, user) = window.escalate(dataclasses.replace(_job(VISIBLE), history=past))
    assert user.content.count("the same") == 1
    assert "round and round" not in user.content


def test_an_escalation_has_the_same_bounds_after_many_long_tries() -> None:
    past = tuple(_tried(n, f"{n} " + "word " * 20_000, 0.1, _failed(VISIBLE, "no " * 5_000)) for n in range(1, 30))
    job = dataclasses.replace(_job(VISIBLE, problem="p " * 100_000), history=past)
    most = window.PROBLEM_CHARS + window.TESTS_CHARS + window.TRIES * (window.CANDIDATE_CHARS + window.FEEDBACK_CHARS)
    assert sum(len(message.content) for message in window.escalate(job)) < most + 2_000


def test_lessons_stand_after_the_problem_and_before_the_role_in_every_prompt() -> None:
    taught = Lesson(
        id=3,
        job=1,
        owner="alice",
        family="python",
        kind=LessonKind.FAILURE,
        situation="adding negative numbers",
        advice="test a sign change",
        avoid="unsigned types",
        evidence="EVIDENCE",
    )
    without = _job(VISIBLE, HIDDEN)
    given = dataclasses.replace(without, lessons=(taught,))
    parent = _candidate("a - b")
    prompts = {
        "draft": (window.draft(given), window.draft(without)),
        "review": (window.review(given, parent), window.review(without, parent)),
        "revise": (window.revise(given, parent, ()), window.revise(without, parent, ())),
    }
    section = "# What earlier jobs taught\nThis failed:\n- When: adding negative numbers\n- Do: test a sign change\n"
    section += "- Avoid: unsigned types\n\n"
    for with_it, without_it in prompts.values():
        before, after = with_it[1].content.split(section)
        assert before + after == without_it[1].content
        assert before.startswith("# Problem")
        assert after.startswith("# Task")
