"""Reads the report of a test run (`inside/run_tests.py`) and says what came of it. Pure.

Trusts only lines that carry the run's nonce; must not know how the tests were run.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.validators.text import clipped

FEEDBACK_CHARS = 1500
SHOWN_FAILURES = 4
# Whoever writes the pipe is not to be trusted: literal_eval needs 1.8 GB and 3.5 s for a line of 3.8 MB.
LINE_BYTES = 256 * 1024
_FAILURE_CHARS = 420
_PRINTED_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An exception: where in the tests (`at`: file, line, statement) and where in the solution (line, statement)."""

    type: str
    message: str
    at: tuple[str, int, str] | None = None
    solution: tuple[int, str] | None = None


@dataclass(slots=True, kw_only=True)
class TestReport:
    """What was reported. `excused` tests are marked skip or xfail by the test file itself; `passed` and
    `failed` hold node ids; `running` is the test that had begun last, `lost` the one in which the candidate's process
    was lost (empty: before any).

    Of tests that were only collected: `unfit` is a test and a fixture that it lacks; `used` says that they used more of
    the solution than its names while they were loaded.
    """

    collected: tuple[str, ...] = ()
    excused: frozenset[str] = frozenset()
    phases: dict[str, list[tuple[str, str, bool]]] = field(default_factory=dict)
    raised: dict[str, Raised] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)
    syntax: Raised | None = None
    tampered: str | None = None
    running: str | None = None
    lost: str | None = None
    unfit: tuple[str, str] | None = None
    used: bool = False
    finished: bool = False

    @property
    def counted(self) -> tuple[str, ...]:
        """The tests that must pass: all but those that their own marks excused in this run."""
        return tuple(test for test in self.collected if not self._was_excused(test))

    @property
    def passed(self) -> tuple[str, ...]:
        """The tests whose set-up, call and tear-down were all reported as passed."""
        return tuple(test for test in self.counted if self._passed(test))

    def _passed(self, test: str) -> bool:
        phases = self.phases.get(test, [])
        ran = {phase for phase, _, _ in phases}
        return {"setup", "call", "teardown"} <= ran and all(outcome == "passed" for _, outcome, _ in phases)

    def _was_excused(self, test: str) -> bool:
        return test in self.excused and any(outcome == "skipped" for _, outcome, _ in self.phases.get(test, []))


def read(report: bytes, nonce: str) -> TestReport:
    """The events of a report; lines that don't begin with the nonce are dropped, and so are endless ones."""
    found = TestReport()
    begins = ascii([nonce])[:-1].encode() + b", "
    for line in report.splitlines():
        if len(line) > LINE_BYTES or not line.startswith(begins):
            continue
        try:
            document = ast.literal_eval(line.decode())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(document, list) and len(document) == 3 and document[0] == nonce:
            _note(found, document[1], document[2])
    return found


def _note(found: TestReport, event: str, fields: dict[str, Any]) -> None:
    match event:
        case "collected":
            found.collected += tuple(name for name, _ in fields["tests"])
            found.excused |= frozenset(name for name, excused in fields["tests"] if excused)
        case "started":
            found.running = fields["test"]
        case "phase":
            phase = (fields["phase"], fields["outcome"], fields["expected"])
            found.phases.setdefault(fields["test"], []).append(phase)
            if fields.get("printed"):
                found.printed[fields["test"]] = fields["printed"]
            if fields["phase"] == "teardown":
                found.running = None
        case "raised":
            found.raised.setdefault(fields["test"], _raised(fields))
        case "syntax":
            found.syntax = _raised(fields)
        case "tampered":
            found.tampered = found.tampered or fields["what"]
        case "unfit":
            found.unfit = found.unfit or (fields["test"], fields["fixture"])
        case "used":
            found.used = fields["calls"] > 0
        case "lost":
            found.lost = fields["test"] if found.lost is None else found.lost
        case "finished":
            found.finished = True


def _raised(fields: dict[str, Any]) -> Raised:
    at, solution = fields.get("at"), fields.get("solution")
    return Raised(
        type=fields["type"],
        message=fields["message"],
        at=(at[0], at[1], at[2]) if at else None,
        solution=(solution[0], solution[1]) if solution else None,
    )


def honest_pass(found: TestReport, required: Sequence[str]) -> bool:
    """Whether every test ran and passed: at least one, each name in `required` among them, to the end."""
    names = {name_of(test) for test in found.collected}
    return (
        found.finished
        and found.lost is None
        and found.tampered is None
        and found.syntax is None
        and not any(test not in found.collected for test in found.raised)
        and len(found.passed) > 0
        and len(found.passed) == len(found.counted)
        and all(name in names for name in required)
    )


def score_of(found: TestReport, *, passed: bool) -> float:
    """Passed tests over all, in [0, 1]; below 1 wherever the run as a whole did not pass."""
    if passed:
        return 1.0
    counted, good = len(found.counted), len(found.passed)
    if not counted or found.tampered:
        return 0.0
    return good / counted if good < counted else good / (counted + 1)


def name_of(test: str) -> str:
    """`test_x` of the node id `test_file.py::test_x[1-2]`."""
    return test.partition("[")[0].rpartition("::")[2]


def feedback_of(found: TestReport, ended: str | None, rest: str) -> str:
    """For the model: what failed and where. `ended` says in words what ended the run early, if anything did;
    `rest` is the end of what the program wrote, shown where nothing else explains the failure."""
    lines: list[str] = []
    if found.syntax:
        return clipped(f"solution.py does not compile. {_placed(found.syntax)}", FEEDBACK_CHARS)
    if found.tampered:
        lines.append(
            f"The solution changed {found.tampered}, which belongs to the tests. Leave the tests and Python's own "
            "functions alone; only what the functions of the solution give back is judged."
        )
    if ended is None and found.lost is not None:
        during = f" while {_short(found.lost)} ran" if found.lost else ""
        lines.append(f"The program ended by itself{during}: it must not exit the process.")
    elif ended:
        during = f" while {_short(found.running)} ran" if found.running else ""
        lines.append(f"The run was ended{during}: {ended}.")
    elif not found.finished and not found.tampered:
        during = f" while {_short(found.running)} ran" if found.running else ""
        lines.append(
            f"The program ended by itself{during}, before the tests were through: it must not exit the process."
        )
    loading = [raised for test, raised in found.raised.items() if test not in found.collected]
    lines += [f"The test file could not be loaded. {_placed(raised)}" for raised in loading[:1]]
    if found.collected:
        lines.append(f"{len(found.passed)} of {len(found.counted)} tests passed.")
        lines += _failures(found)
    elif found.finished and not loading:
        lines.append("No test was run: importing the solution ended the run (sys.exit, or a skip).")
    if ended is None and rest.strip() and not found.finished and not found.raised:
        lines.append("The end of what it wrote:\n" + rest.strip()[-_PRINTED_CHARS:])
    return clipped("\n".join(lines), FEEDBACK_CHARS)


def _failures(found: TestReport) -> list[str]:
    failed = [
        test for test in found.counted if test in found.phases and not found._passed(test) and test != found.running
    ]
    lines = []
    for test in failed[:SHOWN_FAILURES]:
        raised = found.raised.get(test)
        what = _placed(raised) if raised else "was skipped while it ran: a solution may not skip a test"
        line = clipped(f"- {_short(test)}: {what}", _FAILURE_CHARS)
        printed = found.printed.get(test, "").strip()
        lines.append(line + (f"\n  printed: {printed[-_PRINTED_CHARS:]}" if printed else ""))
    begun = [test for test in found.counted if test in found.phases]
    if found.finished and len(begun) < len(found.counted):
        lines.append(f"- the run stopped at {_short(begun[-1] if begun else None)}: a solution may not end the run")
    if len(failed) > SHOWN_FAILURES:
        others = ", ".join(_short(test) for test in failed[SHOWN_FAILURES : SHOWN_FAILURES + 6])
        lines.append(f"- and {len(failed) - SHOWN_FAILURES} more failed: {others}")
    return lines


def _placed(raised: Raised) -> str:
    message = raised.message.strip()
    text = message if message.startswith(raised.type) or raised.type in message[:80] else f"{raised.type}: {message}"
    if raised.at and raised.at[2] and raised.at[2] not in text:
        text += f"\n  at {raised.at[0]} line {raised.at[1]}: {raised.at[2]}"
    if raised.solution:
        text += f"\n  at solution.py line {raised.solution[0]}: {raised.solution[1]}"
    return text


def _short(test: str | None) -> str:
    return (test or "").partition("::")[2] or test or "the first test"
