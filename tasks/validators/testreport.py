"""Parses the report of a test run (`inside/run_tests.py`) and derives result, score and feedback. Pure.

Trusts only lines that carry the run's nonce; must not know how the tests were run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.syntaxtrees import literal
from tasks.validators.text import clipped

FEEDBACK_CHARS = 1500
SHOWN_FAILURES = 4
# The candidate might write into the pipe: literal_eval needs 1.8 GB and 3.5 s for a line of 3.8 MB.
LINE_BYTES = 256 * 1024
_FAILURE_CHARS = 420
_PRINTED_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionInfo:
    """An exception and where it was raised: `at` in the tests (file, line, statement), `solution` (line, statement)."""

    type: str
    message: str
    at: tuple[str, int, str] | None = None
    solution: tuple[int, str] | None = None


@dataclass(slots=True, kw_only=True)
class TestReport:
    """The parsed report; tests are named by their node ids. `excused` tests are marked skip or xfail by the test file
    itself; `running` is the test that started last; `lost` is the test during which the candidate's process ended
    (empty: before any).

    If the tests were only collected: `missing_fixture` is a test and a fixture that it lacks, and `used_solution` says
    that loading them used more of the solution than its names.
    """

    collected: tuple[str, ...] = ()
    excused: frozenset[str] = frozenset()
    phases: dict[str, list[tuple[str, str, bool]]] = field(default_factory=dict)
    exceptions: dict[str, ExceptionInfo] = field(default_factory=dict)
    output: dict[str, str] = field(default_factory=dict)
    syntax: ExceptionInfo | None = None
    tampered: str | None = None
    running: str | None = None
    lost: str | None = None
    missing_fixture: tuple[str, str] | None = None
    used_solution: bool = False
    finished: bool = False

    @property
    def counted(self) -> tuple[str, ...]:
        """The tests that must pass: all except those that were skipped in this run by their own marks."""
        return tuple(test for test in self.collected if not self._skipped_by_mark(test))

    @property
    def passed(self) -> tuple[str, ...]:
        """The tests whose set-up, call and tear-down were all reported as passed."""
        return tuple(test for test in self.counted if self._passed(test))

    def _passed(self, test: str) -> bool:
        phases = self.phases.get(test, [])
        ran = {phase for phase, _, _ in phases}
        return {"setup", "call", "teardown"} <= ran and all(outcome == "passed" for _, outcome, _ in phases)

    def _skipped_by_mark(self, test: str) -> bool:
        return test in self.excused and any(outcome == "skipped" for _, outcome, _ in self.phases.get(test, []))


def read(content: bytes, nonce: str) -> TestReport:
    """Parses a report; lines that don't begin with the nonce, or are too long, are dropped."""
    result = TestReport()
    begins = ascii([nonce])[:-1].encode() + b", "
    for line in content.splitlines():
        if len(line) > LINE_BYTES or not line.startswith(begins):
            continue
        try:
            document = literal(line.decode())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(document, list) and len(document) == 3 and document[0] == nonce:
            _add_event(result, document[1], document[2])
    return result


def _add_event(report: TestReport, event: str, fields: dict[str, Any]) -> None:
    match event:
        case "collected":
            report.collected += tuple(name for name, _ in fields["tests"])
            report.excused |= frozenset(name for name, excused in fields["tests"] if excused)
        case "started":
            report.running = fields["test"]
        case "phase":
            phase = (fields["phase"], fields["outcome"], fields["expected"])
            report.phases.setdefault(fields["test"], []).append(phase)
            if fields.get("printed"):
                report.output[fields["test"]] = fields["printed"]
            if fields["phase"] == "teardown":
                report.running = None
        case "raised":
            report.exceptions.setdefault(fields["test"], _exception_info(fields))
        case "syntax":
            report.syntax = _exception_info(fields)
        case "tampered":
            report.tampered = report.tampered or fields["what"]
        case "unfit":
            report.missing_fixture = report.missing_fixture or (fields["test"], fields["fixture"])
        case "used":
            report.used_solution = fields["calls"] > 0
        case "lost":
            report.lost = fields["test"] if report.lost is None else report.lost
        case "finished":
            report.finished = True


def _exception_info(fields: dict[str, Any]) -> ExceptionInfo:
    at, solution = fields.get("at"), fields.get("solution")
    return ExceptionInfo(
        type=fields["type"],
        message=fields["message"],
        at=(at[0], at[1], at[2]) if at else None,
        solution=(solution[0], solution[1]) if solution else None,
    )


def all_passed(report: TestReport, required: Sequence[str]) -> bool:
    """Whether the run finished and every test passed: at least one, and each name in `required` among them."""
    names = {name_of(test) for test in report.collected}
    return (
        report.finished
        and report.lost is None
        and report.tampered is None
        and report.syntax is None
        and not any(test not in report.collected for test in report.exceptions)
        and len(report.passed) > 0
        and len(report.passed) == len(report.counted)
        and all(name in names for name in required)
    )


def score_of(report: TestReport, *, passed: bool) -> float:
    """The share of tests that passed, in [0, 1]; below 1 if the run as a whole did not pass."""
    if passed:
        return 1.0
    counted, passing = len(report.counted), len(report.passed)
    if not counted or report.tampered:
        return 0.0
    return passing / counted if passing < counted else passing / (counted + 1)


def name_of(test: str) -> str:
    """`test_x` of the node id `test_file.py::test_x[1-2]`."""
    return test.partition("[")[0].rpartition("::")[2]


def feedback_of(report: TestReport, ended: str | None, remaining_output: str) -> str:
    """Tells the model what failed and where. `ended` says in words what ended the run early, if anything did;
    `remaining_output` is the end of the program's output, shown where nothing else explains the failure."""
    lines: list[str] = []
    if report.syntax:
        return clipped(f"solution.py does not compile. {_located(report.syntax)}", FEEDBACK_CHARS)
    if report.tampered:
        lines.append(
            f"The solution changed {report.tampered}, which belongs to the tests. Leave the tests and Python's own "
            "functions alone; only what the functions of the solution give back is judged."
        )
    if ended is None and report.lost is not None:
        during = f" while {_short(report.lost)} ran" if report.lost else ""
        lines.append(f"The program ended by itself{during}: it must not exit the process.")
    elif ended:
        during = f" while {_short(report.running)} ran" if report.running else ""
        lines.append(f"The run was ended{during}: {ended}.")
    elif not report.finished and not report.tampered:
        during = f" while {_short(report.running)} ran" if report.running else ""
        lines.append(
            f"The program ended by itself{during}, before the tests were through: it must not exit the process."
        )
    loading = [error for test, error in report.exceptions.items() if test not in report.collected]
    lines += [f"The test file could not be loaded. {_located(error)}" for error in loading[:1]]
    if report.collected:
        lines.append(f"{len(report.passed)} of {len(report.counted)} tests passed.")
        lines += _failures(report)
    elif report.finished and not loading:
        lines.append("No test was run: importing the solution ended the run (sys.exit, or a skip).")
    if ended is None and remaining_output.strip() and not report.finished and not report.exceptions:
        lines.append("The end of what it wrote:\n" + remaining_output.strip()[-_PRINTED_CHARS:])
    return clipped("\n".join(lines), FEEDBACK_CHARS)


def _failures(report: TestReport) -> list[str]:
    failed = [
        test for test in report.counted if test in report.phases and not report._passed(test) and test != report.running
    ]
    lines = []
    for test in failed[:SHOWN_FAILURES]:
        error = report.exceptions.get(test)
        explanation = _located(error) if error else "was skipped while it ran: a solution may not skip a test"
        line = clipped(f"- {_short(test)}: {explanation}", _FAILURE_CHARS)
        output = report.output.get(test, "").strip()
        lines.append(line + (f"\n  printed: {output[-_PRINTED_CHARS:]}" if output else ""))
    started = [test for test in report.counted if test in report.phases]
    if report.finished and len(started) < len(report.counted):
        lines.append(f"- the run stopped at {_short(started[-1] if started else None)}: a solution may not end the run")
    if len(failed) > SHOWN_FAILURES:
        others = ", ".join(_short(test) for test in failed[SHOWN_FAILURES : SHOWN_FAILURES + 6])
        lines.append(f"- and {len(failed) - SHOWN_FAILURES} more failed: {others}")
    return lines


def _located(error: ExceptionInfo) -> str:
    message = error.message.strip()
    text = message if message.startswith(error.type) or error.type in message[:80] else f"{error.type}: {message}"
    if error.at and error.at[2] and error.at[2] not in text:
        text += f"\n  at {error.at[0]} line {error.at[1]}: {error.at[2]}"
    if error.solution:
        text += f"\n  at solution.py line {error.solution[0]}: {error.solution[1]}"
    return text


def _short(test: str | None) -> str:
    return (test or "").partition("::")[2] or test or "the first test"
