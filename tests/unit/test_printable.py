"""How text from outside is shown to a person."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.printable import printable, printable_json


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("pay\u202egnp.exe", r"pay\u202egnp.exe"),
        ("\u2066left\u2069", r"\u2066left\u2069"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("ad\u200bmin\u2060\ufeff\xad", r"ad\u200bmin\u2060\ufeff\xad"),
        ("two\u2028lines\u2029", r"two\u2028lines\u2029"),
        ("\U000e0068\U000e0069", r"\U000e0068\U000e0069"),
        ("over\rwritten", r"over\x0dwritten"),
        ("a\u200db", r"a\u200db"),
        ("a\ufe0f", r"a\ufe0f"),
        ("☠\ufe0f\ufe0f\ufe0e", r"☠" + "\ufe0f" + r"\ufe0f\ufe0e"),
        ("🏴\U000e0078\U000e007f", r"🏴\U000e0078\U000e007f"),
        ("\ud800", r"\ud800"),
        ("\u3164\u115f", r"\u3164\u115f"),
    ],
)
def test_what_deceives_is_written_out(text: str, output: str) -> None:
    assert printable(text) == output


@pytest.mark.parametrize(
    "text",
    [
        "tab\tand\nlines",
        "Grüße, Ελλάδα, עברית, العربية, 日本語",
        "👩‍👩‍👧 👩🏽‍💻 🏳️‍🌈 ❤️ ❤️‍🔥 1️⃣ ©️ 🇫🇷",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "می‌خواهم",
        "क्‍ष",
        "辻\U000e0100",
        "\ufffd",
    ],
)
def test_ordinary_writing_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_the_line_ends_of_windows_are_line_ends() -> None:
    assert printable("a\r\nb") == "a\nb"


@given(st.text())
def test_nothing_unseen_is_left_but_what_follows_a_letter_that_wants_it(text: str) -> None:
    output = printable(text)
    remaining = {letter for letter in output if unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs")}
    assert remaining <= {"\n", "\t"}
    assert not any(letter in output for letter in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


@given(st.text() | st.sampled_from(["\u202e", "\U000e0041 \x9b", "\u200b\ufeff\u2028"]))
def test_json_says_the_same_with_escapes(text: str) -> None:
    output = printable_json(json.dumps({"title": text}, ensure_ascii=False))
    assert json.loads(output) == {"title": text}
    assert printable(output) == output
