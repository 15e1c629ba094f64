"""What is read out of a model's text: lessons line by line, problems item by item; and where the prefix stands."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.prompts import judging, layout, parse, prefix
from tasks.prompts.layout import WHOLE, Shortener
from tasks.types import CheckSpec, Cut, Lesson, LessonKind
from tests.unit.prompts.cases import BY_GOAL, HIDDEN, RUBRIC, VISIBLE, candidate, job_of

SCHEMA = CheckSpec(
    name="schema:s.json", kind="schema", value="s.json", files={"s.json": '{"b": 1}', "a.json": '{"a": 1}'}
)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("WHEN: a\nDO: b\nAVOID: c", ("a", "b", "c")),
        ("**When:** a\n> 1. do : b\n- `Avoid`: c", ("a", "b", "c")),
        ("AVOID: c\nDO: b\nWHEN: a", ("a", "b", "c")),
        ("WHEN: a\nand more\nDO: b\n\nGood luck!", ("a and more", "b", "")),
        ("WHEN:\n\na\nDO:\n```\nb", None),
        ("WHEN:\n\na\nAVOID:   \n\n  c  ", ("a", "", "c")),
        ("WHEN: a\n``` code\nDO: b", ("a", "b", "")),
        ("WHEN: a\n  ```\nnot this\nDO: b", ("a", "b", "")),
        ("WHEN: a\nDO: b\nWHEN: x\nDO: y\nAVOID: z", ("a", "b", "")),
        ("WHEN: a\nAVOID: c", ("a", "", "c")),
        ("WHEN: a", None),
        ("DO: b\nAVOID: c", None),
        ("WHEN: the kind of problem\nDO: b", None),
        ("WHEN: a\nDO: (what to do)\nAVOID: the mistake to avoid.", None),
        ("WHEN: a\nDO: what to do\nAVOID: c", ("a", "", "c")),
        ("Here it is:\nWHEN: a\nDO: b", ("a", "b", "")),
        ("WHEN: **a  *b*`\nDO: _c_", ("a *b", "c", "")),
        ("nothing", None),
        ("", None),
    ],
)
def test_a_lesson_is_its_three_lines_of_which_one_may_be_missing(text: str, lines: tuple[str, ...] | None) -> None:
    assert parse.lesson_lines(text) == lines


def test_a_lesson_s_line_may_fill_its_limit_and_a_longer_one_is_cut_at_a_word() -> None:
    full = "x" * layout.LESSON_CHARS
    assert parse.lesson_lines(f"WHEN: {full}\nDO: b") == (full, "b", "")
    words = "four " * 200
    cut = parse.lesson_lines(f"WHEN: {words}\nDO: b")
    assert cut == ("four " * 80 + "…", "b", "")


def test_a_quote_of_three_characters_counts_and_a_shorter_one_does_not() -> None:
    assert parse.bugs("- `abc` is wrong", "xabcx") == ("`abc` is wrong",)
    assert parse.bugs("- `ab` is wrong", "xabcx") == ()


def test_a_problem_has_a_third_of_the_feedback_s_room() -> None:
    (bug,) = parse.bugs("- `abc` " + "word " * 300, "abc")
    assert len(bug) == layout.FEEDBACK_CHARS // 3


def test_a_list_inside_a_fence_begins_no_problem() -> None:
    review = "- first `abc`:\n  ```\n- not one `abc`\n  ```\n- second `abc`"
    assert parse.bugs(review, "abc") == ("first `abc`: ``` - not one `abc` ```", "second `abc`")
    closed = "- one `abc`\n```\nx\n```\n- two `abc`\n```\n- no `abc`\n```"
    assert len(parse.bugs(closed, "abc")) == 2


def test_a_judge_s_question_names_every_problem_and_what_measures_it() -> None:
    job = job_of(RUBRIC, BY_GOAL)
    by_rubric = judging.verdict(job, candidate("x"), RUBRIC, ("one", "two"))[1].content
    assert "# What a reviewer reports of the answer\n- one\n- two\n\n# Task" in by_rubric
    assert "thereby breaks what the rubric or the problem demands" in by_rubric
    by_goal = judging.verdict(job, candidate("x"), BY_GOAL, ())[1].content
    assert "(no problem whose quote stands in the answer)" in by_goal
    assert "thereby breaks what the problem demands" in by_goal


def test_a_judge_s_prompts_are_cut_as_far_as_they_must_be() -> None:
    job, long = job_of(RUBRIC, problem="p" * 9_000), candidate("x" * 9_000)
    cut = Cut(prefix=2, rest=3, problem=3_000)
    for shorter, whole in (
        (
            judging.report(job, long, RUBRIC, judging.JUDGE_PROMPTS[0], cut=cut),
            judging.report(job, long, RUBRIC, judging.JUDGE_PROMPTS[0]),
        ),
        (judging.verdict(job, long, RUBRIC, ("one",), cut=cut), judging.verdict(job, long, RUBRIC, ("one",))),
    ):
        assert len(shorter[1].content) < len(whole[1].content) - 8_000


def test_visible_schemas_are_shown_in_the_order_of_their_names_and_hidden_ones_not() -> None:
    hidden = dataclasses.replace(SCHEMA, name="schema:h", held_out=True, files={"h.json": '{"secret": 1}'})
    text = prefix.statement(job_of(SCHEMA, hidden), Shortener(WHOLE))
    shown = "The JSON must match this schema:\n```json\n"
    assert f'{shown}{{"a": 1}}\n```\n\n{shown}{{"b": 1}}\n```' in text
    assert "secret" not in text
    assert text.endswith("Write the result in one JSON code block.")
    assert "schema" not in prefix.statement(job_of(VISIBLE), Shortener(WHOLE))


def test_a_rubric_has_its_room_alone_and_two_share_it() -> None:
    long = dataclasses.replace(RUBRIC, files={"r.md": "r" * 50_000})
    other = dataclasses.replace(long, name="judge:s.md")
    for checks, cut, room in (((long,), 0, 24_000), ((long, other), 0, 12_000), ((long,), 2, 6_000)):
        text = prefix.statement(job_of(*checks), Shortener(Cut(prefix=cut)))
        parts = text.split("judged by this rubric:\n```\n")[1:]
        assert [len(part.partition("\n```")[0]) for part in parts] == [room] * len(checks)


def test_a_test_file_has_its_room_alone_and_two_share_it() -> None:
    long = dataclasses.replace(VISIBLE, files={"visible.py": "def test_a(): ...\n" + "#" * 50_000}, value="visible.py")
    other = dataclasses.replace(
        long, name="python:other.py", value="other.py", files={"other.py": long.files["visible.py"]}
    )
    for checks, room in (((long,), 24_000), ((long, other), 12_000)):
        parts = prefix.statement(job_of(*checks, HIDDEN), Shortener(WHOLE)).split("```python\n")[1:]
        assert [len(part.partition("\n```")[0]) for part in parts] == [room] * len(checks)


def lesson(kind: LessonKind, **fields: str) -> Lesson:
    values = {"situation": "w" * 900, "advice": "do it", "avoid": "", **fields}
    return Lesson(job=1, owner="ada", family="python", kind=kind, evidence="job 1", **values)


def test_lessons_are_told_a_line_each_and_cut_with_the_ground() -> None:
    both = (lesson(LessonKind.SUCCESS), lesson(LessonKind.FAILURE, advice="", avoid="that"))
    job = dataclasses.replace(job_of(VISIBLE), lessons=both)
    for ground, room in ((0, 400), (1, 200)):
        lines = (
            prefix.lessons(job, Shortener(Cut(prefix=ground)))
            .replace("\n… (", "… (")
            .replace(") …\n", ") …")
            .splitlines()
        )
        assert lines[0] == "# What earlier jobs taught"
        assert [lines[1], lines[3], lines[4], lines[6]] == [
            "This worked:",
            "- Do: do it",
            "This failed:",
            "- Avoid: that",
        ]
        assert len(lines) == 7
        when = prefix.lessons(job, Shortener(Cut(prefix=ground))).split("- When: ")[1].split("\n- Do")[0]
        assert len(when) == room
    assert prefix.lessons(job_of(VISIBLE), Shortener(WHOLE)) == ""


@pytest.mark.parametrize(("ground", "room"), [(0, 24_000), (1, 12_000)])
def test_a_schema_has_the_room_of_the_tests_where_there_are_none(ground: int, room: int) -> None:
    long = dataclasses.replace(SCHEMA, files={"s.json": '"' + "s" * 50_000 + '"'})
    text = prefix.statement(job_of(long), Shortener(Cut(prefix=ground)))
    assert len(text.split("```json\n")[1].partition("\n```")[0]) == room
