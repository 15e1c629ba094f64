"""What `redraft logs` shows of a job: each event, verdict and line of text once, in order."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tasks.store.board_rows import LiveText, VerdictLine
from tasks.store.summaries import EventRow
from tasks.texttail import TAIL_CHARS, TextTail
from tasks.types import CandidateRef
from workers.cli.logs import Log

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(number: int) -> EventRow:
    return EventRow(number=number, job=1, at=NOON, kind="recorded", detail=f"iteration {number}")


def verdict(iteration: int, slot: int = 0, *, passed: bool = False, held_out: bool = False) -> VerdictLine:
    return VerdictLine(
        ref=CandidateRef(iteration=iteration, slot=slot), check="python:a.py", kind="python", passed=passed,
        held_out=held_out, score=0.0, value=None, feedback="expected 3\ngot 4", seconds=0.1, isolation="",
    )  # fmt: skip


def written(text: str, chars: int | None = None, iteration: int = 1) -> LiveText:
    return LiveText(
        iteration=iteration, operator="draft", slot=0, attempt=1, step="", check="", vote=0, text=text[-TAIL_CHARS:],
        thoughts="", chars=len(text) if chars is None else chars, thought_chars=0, tokens=1,
    )  # fmt: skip


def test_each_event_is_shown_once() -> None:
    log = Log()
    assert [line for line, _ in log.events([event(1), event(2)])] == [
        "12:00:00 recorded: iteration 1",
        "12:00:00 recorded: iteration 2",
    ]
    assert [document["detail"] for _, document in log.events([event(2), event(3)])] == ["iteration 3"]


def test_each_verdict_is_shown_once_and_says_why_it_failed() -> None:
    log = Log()
    assert [line for line, _ in log.verdicts([verdict(1), verdict(1, 1, passed=True, held_out=True)])] == [
        "1.0 failed python:a.py: expected 3 got 4",
        "1.1 passed python:a.py (held out)",
    ]
    assert len(log.verdicts([verdict(1), verdict(1, 1), verdict(2)])) == 1
    assert log.iteration == 1


def test_text_is_shown_by_whole_lines_and_its_last_one_when_the_call_has_ended() -> None:
    log = Log()
    assert log.texts([written("def f")]) == []
    assert [line for line, _ in log.texts([written("def f():\n    ret")])] == ["1.0 draft │ def f():"]
    assert [line for line, _ in log.texts([])] == ["1.0 draft │     ret"]
    assert log.texts([]) == []


def test_what_was_written_too_fast_to_be_seen_is_counted() -> None:
    log = Log()
    log.texts([written("a\n")])
    (line, _), *_ = log.texts([written("x" * (TAIL_CHARS - 1) + "\n", chars=2 + TAIL_CHARS + 500)])
    assert line.startswith("1.0 draft │ … 500 characters …xxx")


@given(st.lists(st.text(alphabet="ab\n", max_size=50), max_size=20))
def test_every_line_comes_once_whatever_the_looks_see(parts: list[str]) -> None:
    log, tail, lines = Log(), TextTail(), list[str]()
    for part in parts:
        tail.add(part)
        lines += [document["text"] for _, document in log.texts([written(tail.read(), chars=tail.chars)])]
    lines += [document["text"] for _, document in log.texts([])]
    whole = "".join(parts).split("\n")
    assert lines == (whole if whole[-1] else whole[:-1])
