"""What counts as a word in a unit that repeats."""

from __future__ import annotations

import pytest

from tasks.llm.wording import has_word, word_share


@pytest.mark.parametrize("unit", ["the ", "Q\n", "ha", "no, ", "说。", 'x = "Ana", "Bo", ', "return n\n", "слово "])
def test_words_are_words_wherever_the_unit_begins(unit: str) -> None:
    assert all(has_word(unit[at:] + unit[:at]) for at in range(len(unit)))


@pytest.mark.parametrize(
    "unit",
    [
        "0, ",
        "0x1f, ",
        "False, ",
        "null,\n    ",
        "<td></td>",
        "&nbsp;",
        "'x', ",
        "'none','none'),(",
        "ERR, ",
        "| X | O ",
        "\\n",
    ],
)
def test_literals_cells_and_escapes_are_none_wherever_the_unit_begins(unit: str) -> None:
    assert not any(has_word(unit[at:] + unit[:at]) for at in range(len(unit)))


def test_the_share_of_words_leaves_whitespace_and_figures_out() -> None:
    assert word_share("abc def 12") == pytest.approx(6 / 8)
    assert word_share("0, None, 1 ") == 0
    assert word_share("") == 0
