"""Every field of the verdicts that checks give, held out or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.types import JOINED, CheckSpec, SandboxJob, SandboxResult
from tasks.validators.answer import AnswerValidator
from tasks.validators.command import CommandValidator
from tasks.validators.python import PythonValidator
from tasks.validators.schema import SchemaValidator

TESTS = "from solution import area\nimport math\n\ndef test_area(): assert area(2) == 4\n"


def finished(**fields: Any) -> SandboxResult:
    return SandboxResult(**{"exit_code": 0, "stdout": "", "stderr": "", "seconds": 0.75, **fields})


def pytest_report(job: SandboxJob, *, tests=("t.py::test_area",), call="passed", without="", **fields: Any):
    """What our own driver writes when each of `tests` comes to `call`."""
    order = json.loads(job.stdin)
    events: list[tuple[str, dict[str, Any]]] = [("collected", {"tests": [[test, False] for test in tests]})]
    for test in tests:
        events.append(("started", {"test": test}))
        for phase, outcome in (("setup", "passed"), ("call", call), ("teardown", "passed")):
            if phase != without:
                events.append(("phase", {"test": test, "phase": phase, "outcome": outcome, "expected": False}))
    events.append(("finished", {"status": 0}))
    lines = [ascii([order["nonce"], name, values]).encode() for name, values in events]
    return finished(report=b"\n".join(lines), **fields)


def python_check(**fields: Any) -> CheckSpec:
    values: dict[str, Any] = {"name": "python:t.py", "kind": "python", "value": "t.py", "files": {"t.py": TESTS}}
    return CheckSpec(**{**values, **fields})


def only_tests(answer):
    """Answers the tests' job with `answer`, and the candidate's with a plain end."""
    return lambda job: answer(job) if job.report_fd is not None else finished(seconds=9.0)


CODE = "```python\ndef area(side): return side * side\n```\n"
CASES = {
    "answer": (AnswerValidator(), {"value": "42"}, "ANSWER: 42", "ANSWER: 41", lambda job: finished()),
    "schema": (
        SchemaValidator(),
        {"value": "s.json", "files": {"s.json": '{"type": "object"}'}},
        "{}",
        "no json at all",
        lambda job: finished(report=b'{"found": 0, "errors": []}'),
    ),
    "command": (CommandValidator(), {"value": ["sh"]}, "fine", "x" * 1_000_001, lambda job: finished()),
    "python": (PythonValidator(), {"value": "t.py", "files": {"t.py": TESTS}}, CODE, " ", pytest_report),
}


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("kind", CASES)
def test_a_verdict_carries_the_name_and_the_kind_of_its_check_and_whether_it_is_held_out(
    kind, held_out, heartbeat, scripted
):
    validator, fields, right, wrong, answer = CASES[kind]
    check = CheckSpec(name=f"{kind}:second", kind=kind, held_out=held_out, **fields)
    sandbox = scripted(only_tests(answer) if kind == "python" else answer)
    for candidate, passed in ((right, True), (wrong, False)):
        verdict = validator.validate(candidate, check, sandbox, heartbeat)
        assert (verdict.check, verdict.kind, verdict.held_out) == (f"{kind}:second", kind, held_out)
        assert (verdict.passed, verdict.score) == (passed, float(passed))
        assert bool(verdict.feedback) is not passed


@pytest.mark.parametrize("kind", ["schema", "command", "python"])
def test_a_verdict_says_how_long_the_check_ran(kind, heartbeat, scripted):
    validator, fields, right, _, answer = CASES[kind]
    sandbox = scripted(only_tests(answer) if kind == "python" else answer)
    verdict = validator.validate(right, CheckSpec(name="c", kind=kind, **fields), sandbox, heartbeat)
    assert verdict.seconds == 0.75


def test_a_python_verdict_says_how_the_candidate_was_kept_apart(heartbeat, scripted):
    sandbox = scripted(only_tests(pytest_report))
    apart = PythonValidator().validate(CODE, python_check(), sandbox, heartbeat)
    shared = PythonValidator().validate(CODE, python_check(isolation="shared"), sandbox, heartbeat)
    assert (apart.isolation, shared.isolation) == ("process", "shared")


def test_the_tests_and_the_candidate_are_two_jobs_and_neither_has_the_other_s_files(heartbeat, scripted):
    sandbox = scripted(only_tests(pytest_report))
    check = python_check(timeout_seconds=4.5, memory_mb=300, runtime="science", files={"t.py": TESTS, "d.csv": "1"})
    assert PythonValidator().validate(CODE, check, sandbox, heartbeat).passed
    tests, candidate = sandbox.jobs
    assert tests.files == {"t.py": TESTS, "d.csv": "1"}
    assert candidate.files == {"solution.py": b"def area(side): return side * side\n"}
    assert (candidate.stdin, candidate.report_fd) == (b"", None)
    assert candidate.argv[-len(JOINED) :] == tuple(str(number) for number in JOINED)
    assert "redraft_inside.candidate import" in candidate.argv[-len(JOINED) - 1]
    assert "redraft_inside.run_tests import" in tests.argv[-1]
    for job in (tests, candidate):
        assert (job.timeout_seconds, job.memory_mb, job.runtime, job.exchange) == (4.5, 300, "science", False)


def test_tests_that_share_the_process_see_the_solution_and_keep_their_own_files(heartbeat, scripted):
    sandbox = scripted(pytest_report)
    check = python_check(isolation="shared", files={"t.py": TESTS, "tools.py": "KEPT = 1\n"})
    text = CODE + "`tools.py`:\n```python\nREPLACED = 1\n```\n"
    assert PythonValidator().validate(text, check, sandbox, heartbeat).passed
    (job,) = sandbox.jobs
    assert job.files["solution.py"] == b"def area(side): return side * side\n"
    assert job.files["tools.py"] == "KEPT = 1\n"
    assert json.loads(job.stdin)["mode"] == "shared"


def order_of(sandbox) -> dict[str, Any]:
    return json.loads(sandbox.jobs[0].stdin)


def test_the_driver_is_told_what_the_tests_are_and_need(heartbeat, scripted):
    sources = {
        "tests/test_a.py": "import json, os.path\nfrom solution import Box, area\nasync def test_a(): Box\n",
        "tests/test_b.py": "from fractions import Fraction\nfrom . import near\nimport solution\ndef test_b(): ...\n",
        "tests/conftest.py": "import pytest\n\n@pytest.fixture\ndef Thing(tmp_path): return _Other.Part\n",
        "tests/data.txt": "import socket",
    }
    sandbox = scripted(only_tests(pytest_report))
    PythonValidator().validate(CODE, python_check(value="tests/", files=sources), sandbox, heartbeat)
    order = order_of(sandbox)
    assert len(order.pop("nonce")) == 32
    assert order == {
        "mode": "process",
        "tests": ["tests/test_a.py", "tests/test_b.py"],
        "imports": ["fractions", "json", "os.path"],
        "named": ["Box", "Fraction", "Part", "_Other"],
        "channels": list(JOINED),
        "asynchronous": True,
        "exchange": True,
        "modules": ["solution"],
        "folder": False,
        "conftest": True,
    }
    assert sandbox.jobs[0].exchange


def test_plain_tests_need_nothing_beyond_themselves(heartbeat, scripted):
    sandbox = scripted(only_tests(pytest_report))
    PythonValidator().validate(CODE, python_check(), sandbox, heartbeat)
    PythonValidator().validate(CODE, python_check(), sandbox, heartbeat)
    order = order_of(sandbox)
    assert (order["asynchronous"], order["exchange"], order["conftest"]) == (False, False, False)
    assert order["nonce"] != json.loads(sandbox.jobs[2].stdin)["nonce"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"killed": "wall"}, "10 s allowed"),
        ({"killed": "memory"}, "512 MB"),
        ({"exit_code": 139}, "SIGSEGV"),
    ],
)
def test_a_run_that_was_ended_is_no_pass_whatever_its_report_says(fields, said, heartbeat, scripted):
    sandbox = scripted(only_tests(lambda job: pytest_report(job, **fields)))
    verdict = PythonValidator().validate(CODE, python_check(), sandbox, heartbeat)
    assert not verdict.passed
    assert verdict.score < 1.0
    assert said in verdict.feedback


def test_a_candidate_whose_process_was_ended_is_no_pass_whatever_the_tests_report(heartbeat, scripted):
    sandbox = scripted(lambda job: pytest_report(job) if job.report_fd is not None else finished(killed="processes"))
    verdict = PythonValidator().validate(CODE, python_check(), sandbox, heartbeat)
    assert (verdict.passed, verdict.score) == (False, 0.5)
    assert "too many processes" in verdict.feedback


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_a_process_that_took_too_long_is_told_with_what_was_allowed(isolation, heartbeat, scripted):
    check = python_check(isolation=isolation, timeout_seconds=7)
    verdict = PythonValidator().validate(CODE, check, scripted(lambda job: finished(killed="wall")), heartbeat)
    assert not verdict.passed
    assert "it took more than the 7 s allowed" in verdict.feedback


@pytest.mark.parametrize(
    "fields",
    [{"tests": ["t.py::test_other"]}, {"without": "teardown"}, {"without": "setup"}, {"call": "failed"}, {"tests": []}],
)
def test_a_required_test_that_did_not_run_to_its_end_is_no_pass(fields, heartbeat, scripted):
    sandbox = scripted(only_tests(lambda job: pytest_report(job, **fields)))
    verdict = PythonValidator().validate(CODE, python_check(), sandbox, heartbeat)
    assert not verdict.passed
    assert verdict.score < 1.0
    assert verdict.feedback


def test_what_the_tests_wrote_is_shown_where_nothing_else_explains_the_failure(heartbeat, scripted):
    for wrote, shown in (
        ({"stderr": "a trace", "stdout": "a word"}, "a trace"),
        ({"stdout": "a word"}, "a word"),
    ):
        sandbox = scripted(only_tests(lambda job, wrote=wrote: finished(**wrote)))
        assert shown in PythonValidator().validate(CODE, python_check(), sandbox, heartbeat).feedback


def test_a_code_that_is_too_long_or_missing_costs_no_run(heartbeat, no_sandbox):
    for text, said in (("```python\n" + "x" * 1_000_001 + "\n```", "over a million"), ("```python\n```", "no code")):
        verdict = PythonValidator().validate(text, python_check(), no_sandbox, heartbeat)
        assert (verdict.passed, verdict.score, verdict.seconds) == (False, 0.0, 0.0)
        assert said in verdict.feedback


def test_a_dry_run_only_collects(heartbeat, scripted):
    sandbox = scripted(pytest_report)
    PythonValidator().dry_run(python_check(), sandbox, heartbeat)
    (job,) = sandbox.jobs
    assert json.loads(job.stdin)["mode"] == "collect"
    assert job.files == {"t.py": TESTS}


def test_command_s_limits_are_those_of_its_check(heartbeat, scripted):
    sandbox = scripted(lambda job: finished())
    check = CheckSpec(name="c", kind="command", value=["sh", 7], timeout_seconds=2.5, memory_mb=96, runtime="science")
    CommandValidator().validate("é", check, sandbox, heartbeat)
    (job,) = sandbox.jobs
    assert (job.timeout_seconds, job.memory_mb, job.runtime) == (2.5, 96, "science")
    assert job.argv == ("sh", "7")


def test_a_schema_s_limits_are_those_of_its_check(heartbeat, scripted):
    sandbox = scripted(lambda job: finished(report=b'{"found": 0, "errors": []}'))
    check = CheckSpec(
        name="s", kind="schema", value="s.json", files={"s.json": b"{}"}, timeout_seconds=2.5, memory_mb=96
    )
    SchemaValidator().validate("[1]", check, sandbox, heartbeat)
    (job,) = sandbox.jobs
    assert (job.timeout_seconds, job.memory_mb, job.report_fd, job.servable) == (2.5, 96, 9, True)
    assert "redraft_inside.match_schema import" in job.argv[-1]
