"""How the command line writes."""

from __future__ import annotations

import contextlib
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from workers.cli import output


def test_json_keeps_money_as_numbers_and_moments_with_their_zone(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"usd": Decimal("0.04"), "at": datetime(2026, 1, 2, tzinfo=UTC), "tags": ("a",), "raw": b"\x01"})
    assert json.loads(capsys.readouterr().out) == {
        "usd": 0.04,
        "at": "2026-01-02T00:00:00+00:00",
        "tags": ["a"],
        "raw": "01",
    }


def test_a_stream_has_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_line({"text": "a\nb"})
    output.emit_line({})
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [{"text": "a\nb"}, {}]


def test_a_table_in_a_pipe_is_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("a", "b"), [("1", "x\ty\nz"), ("2", "\x1b[31mred")])
    assert capsys.readouterr().out == "a\tb\n1\tx y z\n2\t\\x1b[31mred\n"


class Terminal(io.StringIO):
    """A standard output that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_shown_escapes_where_a_pipe_gets_the_text() -> None:
    for stream, expected in (
        (Terminal(), "a\\u202eb\\x1b[2J\n"),
        (io.StringIO(), "a\u202eb\x1b[2J\n"),
    ):
        with contextlib.redirect_stdout(stream):
            output.text("a\u202eb\x1b[2J")
        assert stream.getvalue() == expected


def test_json_on_a_terminal_says_the_same_and_hides_nothing() -> None:
    with contextlib.redirect_stdout(Terminal()) as terminal:
        output.emit({"title": "a\u202eb\x9b\U000e0041é"})
    assert terminal.getvalue() == '{\n  "title": "a\\u202eb\\u009b\\udb40\\udc41é"\n}\n'
    assert json.loads(terminal.getvalue()) == {"title": "a\u202eb\x9b\U000e0041é"}


def test_a_table_on_a_terminal_has_no_unseen_letter_in_its_cells_or_heads() -> None:
    with contextlib.redirect_stdout(Terminal()) as terminal:
        output.table(["na\u200bme"], [["\u2066x\x1b]0;mine\x07"]])
    assert "na\\u200bme" in terminal.getvalue()
    assert "\\u2066x\\x1b]0;mine\\x07" in terminal.getvalue()
    assert "\x1b]" not in terminal.getvalue()


def test_a_value_of_many_lines_cannot_pass_for_another_pair(capsys: pytest.CaptureFixture[str]) -> None:
    output.pairs([("state", "failed"), ("reason", "x\nstate  accepted")])
    assert capsys.readouterr().out == "state   failed\nreason  x\n        state  accepted\n"


def test_a_note_and_a_line_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    output.note("job \u202e1")
    output.line("check\x1b[1m\nfailed")
    assert capsys.readouterr() == ("check\\x1b[1m failed\n", "job \\u202e1\n")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (950, "950"),
        (81_234, "81.2k"),
        (999_960, "1.0M"),
        (2_000_000, "2.0M"),
        (999_950_000, "1.0B"),
        (10**12, "1.0T"),
        (10**16, "10000.0T"),
    ],
)
def test_tokens_are_shown_short(number: int, shown: str) -> None:
    assert output.count(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0s"), (42.9, "42s"), (190, "3m10s"), (7500, "2h05m"), (273_600, "3d04h")]
)
def test_time_is_shown_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert output.duration(seconds) == shown


@pytest.mark.parametrize(("amount", "shown"), [("0", "$0.00"), ("0.0004", "$0.0004"), ("1.5", "$1.50")])
def test_fractions_of_a_cent_are_shown(amount: str, shown: str) -> None:
    assert output.usd(Decimal(amount)) == shown
