"""How a report of a test run becomes a result, a score and feedback."""

from __future__ import annotations

import tracemalloc

import pytest

from tasks.validators.testreport import FEEDBACK_CHARS, LINE_BYTES, all_passed, feedback_of, name_of, read, score_of

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
    exceptions = {
        "test": B,
        "type": "AssertionError",
        "message": "AssertionError: assert 3 == 4",
        "at": ["t.py", 7, "assert add(1, 2) == 4"],
        "solution": [2, "return a + b"],
    }
    result = read(report(collected(A, B), *ran(A), *ran(B, "failed"), ("raised", exceptions), FINISHED), NONCE)
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
    exceptions = [("raised", {"test": t, "type": "E", "message": "m" * 5000}) for t in tests]
    failed = [event for test in tests for event in ran(test, "failed")]
    text = feedback_of(read(report(collected(*tests), *failed, *exceptions, FINISHED), NONCE), None, "x" * 9999)
    assert len(text) <= FEEDBACK_CHARS
    assert "0 of 200" in text


def exceptions(test=B, kind="ValueError", message="bad", **fields):
    return "raised", {"test": test, "type": kind, "message": message, **fields}


def text_of(*events, ended=None, rest=""):
    return feedback_of(read(report(*events), NONCE), ended, rest)


def test_tests_of_which_every_one_was_excused_are_no_pass():
    events = collected(A, B, excused=[A, B]), *ran(A, setup="skipped"), *ran(B, setup="skipped"), FINISHED
    result = read(report(*events), NONCE)
    assert result.counted == ()
    assert not all_passed(result, [])
    assert score_of(result, passed=False) == 0.0


def test_a_test_without_its_teardown_did_not_pass():
    events = [event for event in ran(A) if event[1].get("phase") != "teardown"]
    result = read(report(collected(A), *events, FINISHED), NONCE)
    assert result.passed == ()
    assert not all_passed(result, ["test_a"])


def test_only_a_skip_excuses_a_test_that_its_mark_excuses():
    result = read(report(collected(A, B, excused=[A, B]), *ran(A), *ran(B, "failed"), FINISHED), NONCE)
    assert result.counted == (A, B)
    unstarted = read(report(collected(A, excused=[A]), FINISHED), NONCE)
    assert unstarted.counted == (A,)


def test_what_a_report_holds_is_kept_as_it_was_first_said():
    result = read(
        report(
            collected(A, B),
            ("started", {"test": A}),
            ("phase", {"test": A, "phase": "call", "outcome": "failed", "expected": True, "printed": "words"}),
            exceptions(A, message="first", at=["t.py", 3, "f()"], solution=[8, "g()"]),
            exceptions(A, message="second"),
            ("tampered", {"what": "sys.exit"}),
            ("tampered", {"what": "os._exit"}),
            ("unfit", {"test": A, "fixture": "db"}),
            ("unfit", {"test": B, "fixture": "net"}),
            ("used", {"calls": 1}),
            ("lost", {"test": A}),
            ("lost", {"test": B}),
            ("syntax", {"type": "SyntaxError", "message": "odd"}),
        ),
        NONCE,
    )
    assert (result.running, result.finished) == (A, False)
    assert result.phases == {A: [("call", "failed", True)]}
    assert result.output == {A: "words"}
    first = result.exceptions[A]
    assert (first.type, first.message, first.at, first.solution) == (
        "ValueError",
        "first",
        ("t.py", 3, "f()"),
        (8, "g()"),
    )
    assert (result.tampered, result.missing_fixture, result.used_solution, result.lost) == (
        "sys.exit",
        (A, "db"),
        True,
        A,
    )
    assert result.syntax is not None
    assert (result.syntax.message, result.syntax.at, result.syntax.solution) == ("odd", None, None)


def test_a_report_of_nothing_says_nothing():
    result = read(b"", NONCE)
    assert (
        result.missing_fixture,
        result.used_solution,
        result.lost,
        result.syntax,
        result.tampered,
        result.running,
    ) == (
        None,
        False,
        None,
        None,
        None,
        None,
    )
    assert not read(report(("used", {"calls": 0})), NONCE).used_solution


def test_the_test_that_runs_is_the_last_begun_and_not_yet_torn_down():
    assert read(report(("started", {"test": A}), *ran(B)), NONCE).running is None
    assert read(report(*ran(A), ("started", {"test": B})), NONCE).running == B


def test_lines_that_are_no_events_do_not_end_the_report():
    noise = b"['n', 1\n['n', ]\n['n', 'finished']\n['n', 'finished', {}, 0]\nwords\n"
    assert read(noise + report(collected(A), *ran(A), FINISHED), NONCE).passed == (A,)
    assert not read(noise, NONCE).finished


def test_a_line_may_fill_its_limit():
    line = ascii([NONCE, "tampered", {"what": ""}])
    full = line.replace("''", repr("x" * (LINE_BYTES - len(line)))).encode()
    assert len(full) == LINE_BYTES
    assert read(full, NONCE).tampered


def test_a_run_that_did_not_pass_scores_below_one_though_every_test_did():
    result = read(report(collected(A), *ran(A), exceptions("t.py"), FINISHED), NONCE)
    assert score_of(result, passed=False) == 0.5
    tampered = read(report(collected(A), *ran(A), ("tampered", {"what": "x"}), FINISHED), NONCE)
    assert score_of(tampered, passed=False) == 0.0


@pytest.mark.parametrize(
    ("test", "name"),
    [("t.py::test_x[1::2]", "test_x"), ("t.py::TestIt::test_x", "test_x"), ("f/t.py::test_y", "test_y")],
)
def test_the_name_of_a_test_is_that_of_its_function(test, name):
    assert name_of(test) == name


def test_a_solution_that_does_not_compile_is_all_that_is_said():
    text = text_of(("syntax", {"type": "SyntaxError", "message": "m" * 3000, "solution": [3, "def f(:"]}), FINISHED)
    assert text.startswith("solution.py does not compile. SyntaxError: mmm")
    assert len(text) == FEEDBACK_CHARS
    assert "\n  at solution.py line 3" in text_of(
        ("syntax", {"type": "SyntaxError", "message": "odd", "solution": [3, "def f(:"]}), FINISHED
    )


def test_a_solution_that_changed_what_is_the_tests_is_told_what():
    text = text_of(collected(A), *ran(A), ("tampered", {"what": "builtins.len"}))
    assert text == (
        "The solution changed builtins.len, which belongs to the tests. Leave the tests and Python's own functions "
        "alone; only what the functions of the solution give back is judged.\n1 of 1 tests passed."
    )


@pytest.mark.parametrize(
    ("events", "ended", "first"),
    [
        ([("lost", {"test": A})], None, "The program ended by itself while test_a ran: it must not exit the process."),
        ([("lost", {"test": ""})], None, "The program ended by itself: it must not exit the process."),
        ([("lost", {"test": A})], "it slept", "The run was ended while test_a ran: it slept."),
        ([], "it slept", "The run was ended: it slept."),
        (
            [("started", {"test": A})],
            None,
            "The program ended by itself while test_a ran, before the tests were through: it must not exit the "
            "process.",
        ),
        ([], None, "The program ended by itself, before the tests were through: it must not exit the process."),
        ([FINISHED], None, "No test was run: importing the solution ended the run (sys.exit, or a skip)."),
    ],
)
def test_the_first_line_says_how_the_run_ended(events, ended, first):
    started = [("started", {"test": A})] if ended and events else []
    assert text_of(*started, *events, ended=ended) == first


def test_of_files_that_could_not_be_loaded_the_first_is_told():
    text = text_of(exceptions("t.py", at=["t.py", 1, "import x"]), exceptions("u.py", message="worse"), FINISHED)
    assert text == "The test file could not be loaded. ValueError: bad\n  at t.py line 1: import x"


def test_the_end_of_what_was_written_is_told_where_nothing_else_explains():
    wrote = "a" * 300 + "z" * 200 + "\n"
    assert text_of(rest=wrote).endswith("passed.\nThe end of what it wrote:\n" + "z" * 200) is False
    assert text_of(rest=wrote).endswith("process.\nThe end of what it wrote:\n" + "z" * 200)
    for events, ended in (
        ([FINISHED], None),
        ([], "it slept"),
        ([exceptions("t.py")], None),
        ([collected(A), *ran(A), FINISHED], None),
    ):
        assert "wrote" not in text_of(*events, ended=ended, rest=wrote)
    assert "wrote" not in text_of(rest=" \n")


def failing(count):
    tests = [f"t.py::test_{number}" for number in range(count)]
    return tests, [event for test in tests for event in ran(test, "failed")]


def test_four_failures_are_told_and_six_more_named():
    tests, events = failing(12)
    lines = text_of(collected(*tests), *events, FINISHED).splitlines()
    assert lines[1] == "- test_0: was skipped while it ran: a solution may not skip a test"
    assert lines[-1] == "- and 8 more failed: test_4, test_5, test_6, test_7, test_8, test_9"
    assert len(lines) == 6
    tests, events = failing(4)
    assert len(text_of(collected(*tests), *events, FINISHED).splitlines()) == 5


def test_a_failure_is_told_with_what_was_printed_last():
    events = ran(A, "failed")
    events[2][1]["printed"] = "x" * 300 + "y" * 200 + "\n"
    text = text_of(collected(A, B), *events, exceptions(A), *ran(B), FINISHED)
    assert text == "1 of 2 tests passed.\n- test_a: ValueError: bad\n  printed: " + "y" * 200


def test_the_test_that_was_running_and_those_not_begun_are_no_failures():
    text = text_of(collected(A, B), *ran(A, "failed"), exceptions(A), ("started", {"test": B}), ended="it slept")
    assert text == "The run was ended while test_b[1-2] ran: it slept.\n0 of 2 tests passed.\n- test_a: ValueError: bad"
    early = text_of(collected(A, B), *ran(A), FINISHED)
    assert early == "1 of 2 tests passed.\n- the run stopped at test_a: a solution may not end the run"
    never = text_of(collected(A), FINISHED)
    assert never == "0 of 1 tests passed.\n- the run stopped at the first test: a solution may not end the run"


@pytest.mark.parametrize(
    ("kind", "message", "shown"),
    [
        ("KeyError", "'x'", "KeyError: 'x'"),
        ("KeyError", "KeyError: 'x'", "KeyError: 'x'"),
        ("Failed", "DID NOT RAISE: Failed", "DID NOT RAISE: Failed"),
        ("Failed", "m" * 77 + "Failed", "Failed: " + "m" * 77 + "Failed"),
    ],
)
def test_the_type_of_an_exception_is_told_once(kind, message, shown):
    assert f"- test_a: {shown}" in text_of(collected(A), *ran(A, "failed"), exceptions(A, kind, message), FINISHED)


def test_a_test_in_a_class_is_told_with_its_class_and_one_without_a_file_as_it_is():
    inner = "t.py::TestIt::test_x"
    assert "- TestIt::test_x: ValueError" in text_of(
        collected(inner), *ran(inner, "failed"), exceptions(inner), FINISHED
    )
    assert "while odd ran" in text_of(collected("odd"), ("started", {"test": "odd"}))
