"""Prompts: bounded, still, the same at their beginning."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tasks.prompts import build, judging, layout, redact
from tasks.types import (
    Attachment,
    Candidate,
    CandidateRef,
    CheckSpec,
    Cut,
    GuardKind,
    Iteration,
    Job,
    Lesson,
    LessonKind,
    Operator,
    Verdict,
)
from tests.unit.prompts.cases import (
    ANSWER,
    BY_GOAL,
    CODE,
    HIDDEN,
    NUMBER,
    RUBRIC,
    VISIBLE,
    candidate,
    failed,
    job_of,
    prompts_of,
)

GOLDEN = Path(__file__).with_name("golden")


@pytest.mark.parametrize(
    "operator",
    ["draft", "review", "revise", "repair", "redraft", "aggregate", "synthesise", "mutate", "edit", "inputs"],
)
@pytest.mark.parametrize("kind", ["python", "answer"])
def test_prompts_stand_still(operator: str, kind: str) -> None:
    job, parent, bugs = (
        (job_of(VISIBLE, HIDDEN), CODE, ("`a - b` subtracts.",)) if kind == "python" else (job_of(ANSWER), NUMBER, ())
    )
    assert prompts_of(job, parent, bugs)[operator] == (GOLDEN / f"{operator}_{kind}.txt").read_text()


@pytest.mark.parametrize(("name", "check"), [("rubric", RUBRIC), ("goal", BY_GOAL)])
def test_the_prompts_of_judges_stand_still(name: str, check: CheckSpec) -> None:
    job = job_of(VISIBLE, check)
    made = {
        "report": judging.report(job, CODE, check, judging.JUDGE_PROMPTS[0]),
        "verdict": judging.verdict(job, CODE, check, ("`a - b` subtracts.",)),
    }
    for step, messages in made.items():
        shown = "".join(f"[{m.role}]\n{m.content}\n" for m in messages)
        assert shown == (GOLDEN / f"{step}_{name}.txt").read_text()


def test_a_visible_rubric_is_shown_to_whoever_writes_and_a_held_out_one_is_not() -> None:
    hidden = dataclasses.replace(RUBRIC, files={"r.md": "1. It rhymes."}, name="judge:h.md", held_out=True)
    for prompt in prompts_of(job_of(RUBRIC, hidden, BY_GOAL), CODE).values():
        assert "1. It adds.\n2. It is short." in prompt
        assert "rhymes" not in prompt
    assert "rubric" not in prompts_of(job_of(BY_GOAL), CODE)["draft"]


def test_a_sentence_to_judge_by_is_a_rubric_too() -> None:
    sentence = CheckSpec(name="judge", kind="judge", value="It is polite.")
    assert "judged by this rubric:\n```\nIt is polite.\n```" in prompts_of(job_of(sentence), CODE)["draft"]


def test_the_beginning_is_the_same_for_every_operator() -> None:
    job = job_of(VISIBLE, HIDDEN, problem="Add two numbers. " * 50)
    prompts = prompts_of(job, CODE)
    shared, _, _ = prompts["draft"].partition("# Task")
    assert all(prompt.startswith(shared) for prompt in prompts.values())
    assert job.spec.problem.strip() in shared
    assert VISIBLE.files["visible.py"].strip() in shared


@pytest.mark.parametrize("shorten", [0, 1])
def test_all_of_a_prompt_but_its_problem_is_bounded_however_long_its_parts_are(shorten: int) -> None:
    long = dataclasses.replace(VISIBLE, files={"visible.py": "assert 1  # tests\n" * 5_000})
    parent = candidate("line of code\n" * 5_000, failed(long, "it failed here\n" * 5_000))
    prompts = prompts_of(
        job_of(long),
        parent,
        ("`line of code` is bad " * 500,),
        Cut(prefix=shorten, rest=shorten),
    )
    limit = 3 * layout.CANDIDATE_CHARS + 3 * layout.FEEDBACK_CHARS + layout.TESTS_CHARS
    assert max(map(len, prompts.values())) < (limit >> shorten) + 1_500


@pytest.mark.parametrize("prefix", [0, 3])
def test_the_prefix_alone_is_the_beginning_of_every_prompt_whose_prefix_is_cut_as_far(prefix: int) -> None:
    job = job_of(VISIBLE, problem="words " * 5_000)
    alone = {build.draft(job, cut=Cut(prefix=prefix)).head[-1].content}
    alone |= {build.review(job, CODE, cut=Cut(prefix=prefix, rest=2)).head[-1].content}
    shared = alone.pop()
    assert not alone
    for rest in (0, 1, 7):
        for prompt in prompts_of(job, CODE, cut=Cut(prefix=prefix, rest=rest)).values():
            assert prompt.partition("[user]\n")[2].startswith(shared)


def _attach(job: Job, *files: tuple[str, str, str]) -> Job:
    """With each of (name, media type, content)."""
    attachments = tuple(Attachment(name=n, media_type=m, sha256=f"hash of {c}", bytes=len(c)) for n, m, c in files)
    texts = {f"hash of {c}": c for _, media_type, c in files if media_type.startswith("text/")}
    return dataclasses.replace(job, spec=dataclasses.replace(job.spec, attachments=attachments), texts=texts)


def test_attached_texts_follow_the_problem_and_media_go_with_the_message_of_every_operator() -> None:
    files = ("a.png", "image/png", "PNG"), ("data.csv", "text/plain", "x,y\n1,2\n"), ("b.wav", "audio/wav", "RIFF")
    job = _attach(job_of(VISIBLE), *files)
    shared, _, _ = prompts_of(job, CODE)["draft"].partition("# Task")
    assert (
        "Add two numbers.\n\nAttached before this text, in this order: a.png, b.wav\n\nAttached file data.csv" in shared
    )
    assert "data.csv:\n```\nx,y\n1,2\n```\n\nsolution.py will be checked" in shared
    for messages in (build.draft(job), build.review(job, CODE), build.revise(job, CODE, ())):
        assert "".join(f"[{m.role}]\n{m.content}\n" for m in messages).startswith(shared)
        assert [a.name for a in messages[-1].attachments] == ["a.png", "b.wav"]
        assert messages[0].attachments == ()


def test_a_problem_and_its_attachments_are_whole_however_long_they_are() -> None:
    files = [("a.txt", "text/plain", "first " * 20_000), ("b.txt", "text/plain", "second " * 20_000)]
    job = _attach(job_of(ANSWER, problem="words and " * 20_000 + "the end."), *files)
    prompt = build.draft(job)
    for whole in (job.spec.problem, *(content.rstrip() for _, _, content in files)):
        assert whole in prompt[-1].content
    assert prompt.omissions == ()
    assert prompt[-1].content.endswith("Solve it now and end with the line `ANSWER: …`.")


@pytest.mark.parametrize("room", [12_000, 6_000])
def test_a_problem_that_is_cut_shares_its_room_with_its_attachments_and_says_what_is_left_out(room: int) -> None:
    files = [(f"{n}.txt", "text/plain", f"{n}" * length) for n, length in ((1, 50_000), (2, 100), (3, 60_000))]
    prompt = build.draft(_attach(job_of(ANSWER), *files), cut=Cut(problem=room))
    text = prompt[-1].content
    assert "Add two numbers." in text
    assert "2" * 100 in text
    assert min(text.count("1"), text.count("3")) > 0.45 * room  # an even share would be a quarter
    assert len(text) < room + 1_000
    assert [(o.block, o.chars) for o in prompt.omissions] == [
        ("attachment 1.txt", 50_000),
        ("attachment 3.txt", 60_000),
    ]
    assert 110_000 + 116 - sum(o.left_out for o in prompt.omissions) == room
    assert prompt.problem_chars == 110_100 + len("Add two numbers.")


def test_what_is_left_out_of_any_block_is_said_with_its_numbers() -> None:
    long = dataclasses.replace(VISIBLE, files={"visible.py": "#" * 30_000})
    parent = candidate("x" * 7_000, failed(long, "f" * 2_000))
    prompt = build.revise(job_of(long), parent, ("b" * 3_000,))
    assert {(o.block, o.left_out, o.chars) for o in prompt.omissions} == {
        ("tests: solution.py will be checked by this file (visible.py)", 6_000, 30_000),
        ("candidate 1.0", 1_000, 7_000),
        ("feedback of python:visible.py", 500, 2_000),
        ("review", 1_502, 3_002),
    }


def test_a_fence_in_a_candidate_does_not_end_its_block() -> None:
    prompt = prompts_of(job_of(VISIBLE), CODE)["review"]
    assert "````\n```python\ndef add(a, b):\n    return a - b\n```\n````" in prompt


def test_the_last_line_of_a_draft_is_a_short_order() -> None:
    for checks in ((VISIBLE,), (ANSWER,), (HIDDEN,), (RUBRIC,)):
        last = build.draft(job_of(*checks))[-1].content.splitlines()[-1]
        assert len(last) < 80
        assert last.endswith(".")


def _tried(number: int, text: str, score: float, *verdicts: Verdict) -> Iteration:
    ref = CandidateRef(iteration=number, slot=0)
    made = Candidate(ref=ref, operator=Operator.DRAFT, text=text, root=ref, score=score, verdicts=verdicts)
    return Iteration(number=number, operator=Operator.DRAFT, candidates=(made,))


def test_an_escalation_shows_the_nearest_tries_with_what_the_visible_checks_say() -> None:
    verdict = failed(VISIBLE, "assert -1 == 5"), failed(HIDDEN, "assert 11 == -3")
    past = [_tried(n, f"try number {n}", n % 5 / 10, *verdict) for n in range(1, 9)]
    job = dataclasses.replace(job_of(VISIBLE, HIDDEN), history=tuple(past))
    system, user = build.escalate(job)
    assert system.role == "system"
    shown = [n for n in range(1, 9) if f"try number {n}" in user.content]
    assert shown == [3, 4, 8]
    assert user.content.index("try number 4") < user.content.index("try number 8")
    assert "assert -1 == 5" in user.content
    assert redact.HIDDEN_FAILED in user.content
    for word in ("hidden.py", "assert 11", "-7"):
        assert word not in user.content
    assert user.content.startswith("# Problem: Addition\nAdd two numbers.")


def test_an_escalation_shows_equal_tries_once_and_degenerate_ones_never() -> None:
    loop = _tried(3, "round and round", 1.0)
    looped = dataclasses.replace(
        loop, candidates=tuple(dataclasses.replace(c, guard=GuardKind.CYCLE) for c in loop.candidates)
    )
    past = (_tried(1, "the same", 0.5), _tried(2, "the  same\n", 0.5), looped)
    (_, user) = build.escalate(dataclasses.replace(job_of(VISIBLE), history=past))
    assert user.content.count("the same") == 1
    assert "round and round" not in user.content


def test_an_answer_that_was_let_through_and_rejected_is_shown_in_part() -> None:
    rows = "".join(f"The gate {n} is shut.\n" for n in range(200))
    plain = candidate(rows, failed(VISIBLE, "no"))
    rejected = dataclasses.replace(plain, let_through=GuardKind.TEMPLATE)
    job = job_of(VISIBLE)
    assert rows.strip() in build.revise(job, plain, ())[1].content
    for prompt in (build.review(job, rejected), build.revise(job, rejected, ())):
        shown = prompt[1].content
        assert "The gate 0 is shut" in shown
        assert shown.count("is shut.") < 1_400 // len("The gate 0 is shut.\n")


def test_an_escalation_has_the_same_bounds_after_many_long_tries() -> None:
    past = tuple(_tried(n, f"{n} " + "word " * 20_000, 0.1, failed(VISIBLE, "no " * 5_000)) for n in range(1, 30))
    job = dataclasses.replace(job_of(VISIBLE), history=past)
    most = layout.TESTS_CHARS + build.TRIES * (layout.CANDIDATE_CHARS + layout.FEEDBACK_CHARS)
    assert sum(len(message.content) for message in build.escalate(job)) < most + 2_000


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
    without = job_of(VISIBLE, HIDDEN)
    given = dataclasses.replace(without, lessons=(taught,))
    parent = candidate("a - b")
    prompts = {
        "draft": (build.draft(given), build.draft(without)),
        "review": (build.review(given, parent), build.review(without, parent)),
        "revise": (build.revise(given, parent, ()), build.revise(without, parent, ())),
    }
    section = "# What earlier jobs taught\nThis failed:\n- When: adding negative numbers\n- Do: test a sign change\n"
    section += "- Avoid: unsigned types\n\n"
    for with_it, without_it in prompts.values():
        before, after = with_it[1].content.split(section)
        assert before + after == without_it[1].content
        assert before.startswith("# Problem")
        assert after.startswith("# Task")
