from __future__ import annotations

import errno

import pytest

from tasks.defects import SUMMARY_CHARS, TRACEBACK_CHARS, full_traceback, is_exhaustion, summary


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """The error with a traceback."""
    try:
        raise error from cause
    except Exception as caught:  # noqa: BLE001 - of whatever type a test names
        return caught


def test_a_traceback_names_the_place_the_error_and_its_cause() -> None:
    text = full_traceback(raised(ValueError("seven"), raised(KeyError("key"))))
    assert "test_defects.py" in text
    assert "in raised" in text
    assert "KeyError: 'key'" in text
    assert text.endswith("ValueError: seven")


def test_a_summary_is_one_line() -> None:
    assert summary(raised(ValueError("one\n  two"))) == "ValueError: one two"
    long = summary(raised(ValueError("x" * 1000)))
    assert len(long) == SUMMARY_CHARS
    assert long.endswith("...")


def test_of_a_long_traceback_the_end_is_kept() -> None:
    text = full_traceback(raised(ValueError("begin" + "x" * 20_000 + "end")))
    assert len(text) == TRACEBACK_CHARS
    assert text.endswith("end")
    assert "begin" not in text


@pytest.mark.parametrize("write", [summary, full_traceback])
def test_no_secret_is_shown_not_even_a_part_of_one_that_another_contains(write) -> None:
    secrets = {"", "key", "key-and-more"}
    text = write(raised(ValueError("bad key-and-more, bad key"), raised(KeyError("key-and-more"))), secrets)
    assert "key" not in text
    assert "-and-more" not in text
    assert "bad ***, bad ***" in text


def test_a_secret_at_the_edge_of_what_is_kept_is_not_cut_in_two() -> None:
    secret = "s" * 4000
    text = full_traceback(raised(ValueError(secret + "x" * (TRACEBACK_CHARS - 2000))), {secret})
    assert "ss" not in text.replace("passed", "").replace("class", "")


def test_what_would_steer_a_terminal_is_escaped() -> None:
    assert "\x1b" not in full_traceback(raised(ValueError("\x1b[2J\x00\ud800")))
    assert summary(raised(ValueError("\x1b[2J\x00\ud800"))) == r"ValueError: \x1b[2J\x00\ud800"


@pytest.mark.parametrize(
    ("error", "exhausted"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (ValueError(), False),
    ],
)
def test_what_the_machine_lacks_is_told_from_a_defect(error: Exception, exhausted: bool) -> None:
    assert is_exhaustion(error) is exhausted
