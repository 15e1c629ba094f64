"""How a report of a test run becomes a result, a score and feedback."""

from __future__ import annotations

import tracemalloc

import pytest

from tasks.validators.testreport import FEEDBACK_CHARS, all_passed, feedback_of, read, score_of

NONCE = "n"
A, B = "t.py::test_a", "t.py::test_b[1-2]"


def report(*events, nonce=NONCE):
    return b"".join(ascii([nonce, name, fields]).encode() + b"\n" for name, fields in events)


def collected(*tests, excused=()):
    return "collected", {"tests": [[test, test in excused] for test in tests]}


def ran(test, call="passed", *, setup="passed", teardown="passed"):
    phases = [("setup", setup), ("call", call), ("teardown", teardown)]
    if setup != "passed":
        phases.pop(1)
    return [
        ("started", {"test": test}),
        *(("phase", {"test": test, "phase": p, "outcome": o, "expected": False}) for p, o in phases),
    ]


FINISHED = ("finished", {"status": 0})


def test_every_test_passed_to_the_end_is_a_pass():
    result = read(report(collected(A, B), *ran(A), *ran(B), FINISHED), NONCE)
    assert all_passed(result, ["test_a", "test_b"])
    assert score_of(result, passed=True) == 1.0


@pytest.mark.parametrize(
    "events",
    [
        [],
        [FINISHED],
        [collected(), FINISHED],
        [collected(A), FINISHED],
        [collected(A), *ran(A)],
        [collected(A, B), *ran(A), FINISHED],
        [collected(A, B), *ran(A), *ran(B, "failed"), FINISHED],
        [collected(A, B), *ran(A), *ran(B, "skipped"), FINISHED],
        [collected(A, B), *ran(A), *ran(B, setup="skipped"), FINISHED],
        [collected(A, B), *ran(A), *ran(B, teardown="failed"), FINISHED],
        [collected(A), *ran(A), ("tampered", {"what": "pytest.main"}), FINISHED],
        [collected(A), *ran(A), ("raised", {"test": "t.py", "type": "E", "message": "m"}), FINISHED],
        [collected(B), *ran(B), FINISHED],
    ],
)
def test_anything_less_is_no_pass_and_scores_below_one(events):
    result = read(report(*events), NONCE)
    assert not all_passed(result, ["test_a"])
    assert 0.0 <= score_of(result, passed=False) < 1.0


def test_lines_without_the_nonce_count_for_nothing():
    forged = report(collected(A), *ran(A), FINISHED, nonce="guessed")
    assert not all_passed(read(forged + b"\xff[]\n[1,2]\n", NONCE), [])


@pytest.mark.parametrize("line", [b"[" + b"1," * 1_900_000 + b"]", b"['n', 'finished', [" + b"1," * 200_000 + b"]]"])
def test_an_endless_line_is_dropped_before_it_is_parsed(line):
    content = line + b"\n" + report(collected(A), *ran(A), FINISHED)
    tracemalloc.start()
    try:
        result = read(content, NONCE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all_passed(result, ["test_a"])
    assert peak < 16 * 2**20


def test_tests_collected_in_several_parts_all_count():
    result = read(report(collected(A), collected(B), *ran(A), FINISHED), NONCE)
    assert result.collected == (A, B)
    assert not all_passed(result, [])


def test_a_test_that_its_own_mark_skips_is_not_counted():
    result = read(report(collected(A, B, excused=[B]), *ran(A), *ran(B, setup="skipped"), FINISHED), NONCE)
    assert all_passed(result, ["test_a"])


def test_the_score_is_the_share_of_tests_that_passed():
    result = read(report(collected(A, B), *ran(A), *ran(B, "failed"), FINISHED), NONCE)
    assert score_of(result, passed=False) == 0.5


def test_the_feedback_names_the_failure_the_place_and_the_line_of_the_solution():
    raised = {
        "test": B,
        "type": "AssertionError",
        "message": "AssertionError: assert 3 == 4",
        "at": ["t.py", 7, "assert add(1, 2) == 4"],
        "solution": [2, "return a + b"],
    }
    result = read(report(collected(A, B), *ran(A), *ran(B, "failed"), ("raised", raised), FINISHED), NONCE)
    text = feedback_of(result, None, "")
    assert "1 of 2 tests passed" in text
    assert "test_b[1-2]: AssertionError: assert 3 == 4" in text
    assert "t.py line 7: assert add(1, 2) == 4" in text
    assert "solution.py line 2: return a + b" in text


def test_the_feedback_says_what_ended_the_run_and_where():
    result = read(report(collected(A), ("started", {"test": A})), NONCE)
    text = feedback_of(result, "it took more than the 2 s allowed", "")
    assert "ended while test_a ran: it took more than the 2 s allowed" in text


def test_the_feedback_keeps_to_its_length():
    tests = [f"t.py::test_{number}" for number in range(200)]
    raised = [("raised", {"test": t, "type": "E", "message": "m" * 5000}) for t in tests]
    failed = [event for test in tests for event in ran(test, "failed")]
    text = feedback_of(read(report(collected(*tests), *failed, *raised, FINISHED), NONCE), None, "x" * 9999)
    assert len(text) <= FEEDBACK_CHARS
    assert "0 of 200" in text
