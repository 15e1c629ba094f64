from __future__ import annotations

import pytest

from tasks.llm.capabilities import Capabilities, chosen


@pytest.mark.parametrize(
    ("answer", "choice"),
    [
        ("pass", "pass"),
        (" PASS.", "pass"),
        ("**fail**", "fail"),
        ('{"answer": "pass"}', "pass"),
        ('{"verdict": "pass"}', "pass"),
        ("pass, for the sum is right", "pass"),
        ("I have looked at it.\nVerdict: fail", "fail"),
        ("Verdict: **pass**.", "pass"),
    ],
)
def test_a_choice_is_read_where_it_stands(answer: str, choice: str) -> None:
    assert chosen(answer, ("pass", "fail")) == choice


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "it does not pass",
        "pass or fail, who knows",
        "Verdict: pass\nVerdict: fail",
        "passable",
        '{"answer": "maybe"}',
    ],
)
def test_what_names_no_choice_or_several_stays_as_it_is(answer: str) -> None:
    assert chosen(answer, ("pass", "fail")) == answer


def test_a_server_of_ours_lacks_nothing_and_each_lack_is_one_sentence() -> None:
    assert Capabilities().missing() == ()
    notes = Capabilities(choices="text", tokenizer="none", seeds=False).missing()
    assert [line.split(":")[0] for line in notes] == [
        "no structured answers",
        "no tokenizer",
        "seeds without effect",
    ]
