"""What is left of a long text, who gets which share of a room, and what gives a check away."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.prompts import build, layout, redact
from tasks.prompts.layout import WHOLE, Shortener
from tasks.types import CheckSpec, Cut, GuardKind, Iteration, Omission, Operator
from tests.unit.prompts.cases import ANSWER, HIDDEN, VISIBLE, candidate, failed, job_of

TEXT = "".join(f"{number:05d} " for number in range(1_000))  # 6,000 characters, no two six alike


@pytest.mark.parametrize("chars", [200, 999, 3_000, 5_999])
def test_a_long_text_keeps_its_beginning_and_half_as_much_of_its_end(chars: int) -> None:
    short = layout.shorten(TEXT, chars)
    head, _, rest = short.partition("\n… (")
    told, _, tail = rest.partition(" characters left out) …\n")
    assert len(short) == chars
    assert told == f"{6_000 - chars:,}"
    assert (TEXT.startswith(head), TEXT.endswith(tail)) == (True, True)
    assert 0 < 2 * len(tail) <= len(head) <= 2 * len(tail) + 2


def test_a_text_that_fits_is_left_alone_and_one_without_room_is_only_its_mark() -> None:
    assert layout.shorten(TEXT, 6_000) == TEXT
    assert layout.shorten("abc", 0) == "\n… (3 characters left out) …\n"


@pytest.mark.parametrize(("halved", "room"), [(0, 1_500), (1, 750), (3, 187)])
def test_a_room_is_halved_as_often_as_its_cut_says(halved: int, room: int) -> None:
    assert Shortener(Cut(prefix=2, rest=halved)).in_rest(1_500) == room
    assert Shortener(Cut(prefix=halved, rest=2)).in_prefix(1_500) == room


def test_what_is_shortened_is_remembered_with_its_numbers() -> None:
    shortener = Shortener(WHOLE)
    assert shortener.shorten("problem", TEXT, 6_000) == TEXT
    assert shortener.omissions == []
    assert len(shortener.shorten("review", TEXT, 1_000)) == 1_000
    assert shortener.omissions == [Omission(block="review", left_out=5_000, chars=6_000)]


@pytest.mark.parametrize(
    ("text", "fence"), [("plain", "```"), ("a ``` b", "````"), ("`````\n```", "``````"), ("one ` and ``", "```")]
)
def test_a_fence_is_longer_than_any_in_its_text_and_never_shorter_than_three(text: str, fence: str) -> None:
    assert layout.fence(text + "  \n", "python") == f"{fence}python\n{text}\n{fence}"


def checks_of(count: int) -> list:
    return [dataclasses.replace(VISIBLE, name=f"python:{number}.py") for number in range(count)]


@pytest.mark.parametrize(("count", "share"), [(1, 1_500), (3, 500), (4, 375)])
def test_the_checks_that_failed_share_the_room_of_the_feedback(count: int, share: int) -> None:
    checks = checks_of(count)
    job = job_of(*checks, HIDDEN)
    tried = candidate("x", *(failed(check, TEXT) for check in checks), failed(HIDDEN, "secret"))
    text = redact.feedback(job, tried, Shortener(WHOLE))
    parts = text.removeprefix("# What the checks say\n").split("\n\npython:")
    assert text.endswith("\n\nA hidden check failed.")
    assert [len(part.partition(" failed:\n")[2].removesuffix("\n\nA hidden check failed.")) for part in parts] == (
        [share] * count
    )
    assert len(redact.feedback(job, tried, Shortener(Cut(rest=1)))) < len(text)


def test_a_schema_has_the_room_of_one_file_of_the_tests() -> None:
    schema = CheckSpec(name="schema:s.json", kind="schema", value="s.json", files={"s.json": "s" * 50_000})
    for others, share in ((0, 1), (1, 1), (2, 2)):
        prompt = build.draft(job_of(*checks_of(others), schema))[-1].content
        block = prompt.partition("must match this schema:\n```json\n")[2].partition("\n```")[0]
        assert len(block) == layout.TESTS_CHARS // share


def test_a_check_that_passed_takes_no_room_and_is_not_named() -> None:
    passed = dataclasses.replace(failed(ANSWER, ""), passed=True)
    text = redact.feedback(job_of(VISIBLE, ANSWER), candidate("x", passed, failed(VISIBLE, TEXT)), Shortener(WHOLE))
    assert len(text) == len("# What the checks say\npython:visible.py failed:\n") + 1_500
    assert redact.feedback(job_of(ANSWER), candidate("x", passed), Shortener(WHOLE)) == ""


def test_a_failure_without_words_says_so() -> None:
    text = redact.feedback(job_of(VISIBLE), candidate("x", failed(VISIBLE, " \n")), Shortener(WHOLE))
    assert text.endswith("python:visible.py failed:\n(no details)")


def test_failures_are_told_once_each_the_last_six_in_their_order() -> None:
    job = job_of(VISIBLE, HIDDEN)
    tries = [candidate("x", failed(VISIBLE, f"fault {number % 8}"), failed(HIDDEN, "secret")) for number in range(10)]
    looped = dataclasses.replace(candidate("x", failed(VISIBLE, "loop")), guard="cycle")
    let_through = dataclasses.replace(candidate("x", failed(VISIBLE, "loop")), let_through=GuardKind.TEMPLATE)
    told = redact.visible_failures(job, [*tries, looped, let_through])
    assert told == tuple(f"python:visible.py failed:\nfault {number}" for number in (4, 5, 6, 7, 0, 1))


@pytest.mark.parametrize(
    ("text", "revealed"),
    [
        ("the answer is 1729.", True),
        ("1729", True),
        ("it is 17290", False),
        ("it is 11729", False),
        ("then assert add(-7, 4) == -3 holds", True),
        ("def test_more():", True),
        ("from solution import add", False),  # the visible tests show it, too
        ("anything else", False),
    ],
)
def test_a_text_reveals_an_expected_answer_or_a_line_of_a_hidden_test(text: str, revealed: bool) -> None:
    assert redact.reveals(job_of(VISIBLE, HIDDEN, ANSWER), text) is revealed


def test_the_tolerance_of_an_answer_reveals_nothing() -> None:
    check = dataclasses.replace(ANSWER, value={"number": "1729", "tolerance": "5"})
    assert not redact.reveals(job_of(check), "at most 5 of them")


def test_short_lines_of_a_hidden_test_reveal_nothing() -> None:
    check = dataclasses.replace(HIDDEN, files={"hidden.py": "import pytest22\nimport pytest333\n"})
    assert not redact.reveals(job_of(check), "import pytest22")  # 15 characters
    assert redact.reveals(job_of(check), "import pytest333")


def test_the_cloud_is_shown_the_three_best_tries_in_their_own_order() -> None:
    tries = [
        dataclasses.replace(candidate(f"try {number}"), score=score)
        for number, score in enumerate([0.5, 0.1, 0.9, 0.5, 0.2])
    ]
    history = tuple(
        Iteration(
            number=number,
            operator=Operator.DRAFT,
            candidates=(dataclasses.replace(tried, ref=dataclasses.replace(tried.ref, iteration=number)),),
        )
        for number, tried in enumerate(tries, 1)
    )
    text = build.escalate(dataclasses.replace(job_of(ANSWER), history=history))[1].content
    assert [number for number in range(5) if f"try {number}" in text] == [0, 2, 3]
    assert text.index("try 0") < text.index("try 2") < text.index("try 3")


@pytest.mark.parametrize(
    ("kind", "goal"),
    [
        ("python", "Write the whole solution.py now, in one Python code block, nothing else."),
        ("schema", "Write the JSON code block now."),
        ("answer", "Solve it now and end with the line `ANSWER: …`."),
        ("command", "Write the whole answer now."),
    ],
)
def test_the_last_line_says_the_form_that_the_checks_read(kind: str, goal: str) -> None:
    job = job_of(dataclasses.replace(VISIBLE, kind=kind))
    assert build.draft(job)[1].content.endswith("\n\n" + goal)


def test_a_lesson_is_asked_of_the_answer_without_its_last_line_or_of_what_failed() -> None:
    job = job_of(ANSWER)
    right = build.distil(job, accepted=candidate("Count them.\n**ANSWER: 1729**\nanswer: 1"))[1].content
    assert "Count them." in right
    assert "1729" not in right
    assert "was checked and is right" in right
    wrong = build.distil(job, failures=(TEXT, TEXT, TEXT))[1].content
    assert "No answer to the problem above was right" in wrong
    assert wrong.count("characters left out") == 3
    assert wrong.count("00000 ") == 3


def test_a_reviser_is_shown_five_problems_at_most() -> None:
    bugs = tuple(f"problem {number}" for number in range(8))
    text = build.revise(job_of(VISIBLE), candidate("x"), bugs)[1].content
    assert "# What a reviewer found\n- problem 0\n- problem 1\n- problem 2\n- problem 3\n- problem 4\n\n" in text
    assert "problem 5" not in text
    assert "# What a reviewer found" not in build.revise(job_of(VISIBLE), candidate("x"), ())[1].content


def test_an_escalation_has_its_parts_in_order_and_no_task_where_nothing_was_tried() -> None:
    tried = candidate("a try", failed(ANSWER, "no"))
    history = (Iteration(number=1, operator=Operator.DRAFT, candidates=(tried,)),)
    text = build.escalate(dataclasses.replace(job_of(ANSWER), history=history))[1].content
    parts = ["# Problem: Addition", "# Task\nBelow are answers", "# The answer\n```\na try", "# What the checks say"]
    places = [text.index(part) for part in [*parts, "Solve it now and end"]]
    assert places == sorted(places)
    fresh = build.escalate(job_of(ANSWER))[1].content
    assert "# Task" not in fresh
    assert fresh.endswith("ANSWER: …\n\nSolve it now and end with the line `ANSWER: …`.")


def test_a_lesson_s_prompt_is_the_problem_the_task_what_it_rests_on_and_the_order() -> None:
    job = job_of(ANSWER)
    parts = build.distil(job, accepted=candidate("Count.\nThen add.\nANSWER: 3"))[1].content.split("\n\n")
    assert parts[0].startswith("# Problem: Addition\n")
    assert parts[-2:] == [
        "# The answer\n```\nCount.\nThen add.\n```",
        "Write the three lines WHEN:, DO: and AVOID: now.",
    ]
    failures = build.distil(job, failures=("one", "two"))[1].content
    assert failures.endswith("# What the checks said\none\n\ntwo\n\nWrite the three lines WHEN:, DO: and AVOID: now.")
    alone = build.distil(job, failures=(TEXT,))[1].content
    assert len(alone.split("# What the checks said\n")[1].rpartition("\n\nWrite")[0]) == layout.FEEDBACK_CHARS


def test_a_judge_is_shown_all_of_an_answer_that_a_writer_would_be_shown_in_part() -> None:
    long = candidate("x" * (layout.JUDGED_CHARS - 1))
    text = build.judge(job_of(ANSWER), long, "", "# Task\nJudge.", "Judge now.")[1].content
    assert "x" * (layout.JUDGED_CHARS - 1) in text


@pytest.mark.parametrize(
    ("value", "text", "revealed"),
    [
        ("Paris", "it is paris", True),
        (["one", ["two"]], "two of them", True),
        ({"exact": "7", "more": None}, "seven", False),
        ({"exact": "", "flag": True}, "true", False),
    ],
)
def test_each_value_that_an_answer_is_compared_with_is_kept_back(value: object, text: str, revealed: bool) -> None:
    check = dataclasses.replace(ANSWER, value=value)
    assert redact.reveals(job_of(check), text) is revealed
