"""The check `answer: …`: the candidate's last line that begins `ANSWER:`, compared exactly, as a number, by a
regular expression, or as mathematics.

Must not know how the sandbox confines; only mathematics needs it.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import regex

from tasks.errors import InvalidInput
from tasks.ports import Pulse, Sandbox, SandboxJob
from tasks.types import CheckSpec, Verdict
from tasks.validators.text import answer_of, clipped

FORMS = ("exact", "regex", "math", "number")
EXPECTED_CHARS = 1000
ANSWER_CHARS = 2000
MATCH_SECONDS = 1.0  # a pattern that needs longer on 2,000 characters backtracks without end
READING_SECONDS = 30.0  # at submit: importing sympy on a busy machine takes seconds
_REPORT_FD = 9  # as in inside/same_math.py
_PROGRAM = ".redraft/same_math.py"
_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d{1,400})?(\.\d{0,400})?([eE][+-]?\d{1,3})?")
_NO_LINE = "There is no line that begins `ANSWER:`. End with one line `ANSWER: ` followed by the answer alone."
_ALLOWED = "a text or a number, or {exact|regex|math|number: ..., tolerance: ...}"


class AnswerValidator:
    """One right answer. Score: 1 or 0."""

    kind: ClassVar[str] = "answer"
    cost: ClassVar[int] = 1

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """A text for a scalar; else one form with its value as a text, and the tolerance where there is one.

        Raises `InvalidInput`.
        """
        if not isinstance(value, Mapping):
            return _text("answer", value), {}
        forms = [name for name in value if name in FORMS]
        unknown = [name for name in value if name not in (*FORMS, "tolerance")]
        if unknown or len(forms) != 1:
            raise InvalidInput("answer", dict(value), f"exactly one of {', '.join(FORMS)}, and with number a tolerance")
        form = forms[0]
        stored = {form: _text(f"answer.{form}", value[form])}
        if "tolerance" in value:
            stored["tolerance"] = _tolerance(form, value["tolerance"])
        if form == "number" and number_of(stored[form]) is None:
            raise InvalidInput("answer.number", value[form], "a number such as 42, -0.5, 6.02e23 or 1/3")
        if form == "regex":
            _compile(stored[form])
        if form == "math" and not _readable(stored[form]):
            raise InvalidInput(
                "answer.math", value[form], "one mathematical expression in LaTeX, such as \\frac{1}{2} or x^2+1"
            )
        return stored, {}

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, pulse: Pulse) -> Verdict:
        """Raises only `ServiceFault`s and what `pulse` raises."""
        began = time.monotonic()
        feedback = _judge(answer_of(candidate), check, sandbox, pulse)
        return Verdict(
            check=check.name,
            kind=check.kind,
            passed=not feedback,
            score=0.0 if feedback else 1.0,
            held_out=check.held_out,
            feedback=feedback,
            seconds=time.monotonic() - began,
        )


def number_of(text: str) -> Fraction | None:
    """The exact number that `text` writes: decimal, with thousands' commas, an exponent of up to three digits,
    or a ratio of two such; None where it writes none."""
    over, slash, under = text.strip().replace("−", "-").strip("$").strip().partition("/")
    top, bottom = _decimal(over), _decimal(under) if slash else Fraction(1)
    return None if top is None or not bottom else top / bottom


def _decimal(text: str) -> Fraction | None:
    text = text.strip()
    if not _NUMBER.fullmatch(text) or not any(char.isdigit() for char in text.partition("e")[0].partition("E")[0]):
        return None
    return Fraction(text.replace(",", ""))


def _judge(answer: str | None, check: CheckSpec, sandbox: Sandbox, pulse: Pulse) -> str:
    """Empty where the answer is right; else what to tell the model, which never names the right answer."""
    if answer is None:
        return _NO_LINE
    if not answer or len(answer) > ANSWER_CHARS:
        return "The line that begins `ANSWER:` must hold the answer, in at most 2,000 characters."
    wrong = f"The answer {clipped(answer, 200)!r} is not right."
    value = check.value if isinstance(check.value, Mapping) else {"plain": check.value}
    form = next(name for name in ("plain", *FORMS) if name in value)
    expected = str(value[form])
    match form:
        case "plain" | "exact":
            same = answer == expected if form == "exact" else _same_plain(answer, expected)
            return "" if same else wrong
        case "regex":
            return _by_pattern(answer, expected, wrong)
        case "number":
            return _by_number(answer, expected, Fraction(str(value.get("tolerance", "0"))), wrong)
        case _:
            return _by_math(answer, expected, check, sandbox, pulse)


def _same_plain(answer: str, expected: str) -> bool:
    """The same text, or the same number: 42.0 is 42, and who writes `answer: 42` means the number."""
    left, right = number_of(answer), number_of(expected)
    return answer == expected or (left is not None and left == right)


def _by_pattern(answer: str, pattern: str, wrong: str) -> str:
    try:
        # The interpreter's lock is given up meanwhile, so that other slots of the worker go on.
        found = regex.fullmatch(pattern, answer, timeout=MATCH_SECONDS, concurrent=True)
    except TimeoutError:
        return wrong + " (Comparing it with the pattern took too long.)"
    return "" if found else wrong


def _by_number(answer: str, expected: str, tolerance: Fraction, wrong: str) -> str:
    given, wanted = number_of(answer), number_of(expected)
    if given is None or wanted is None:
        return f"The answer {clipped(answer, 200)!r} is not a plain number: write digits alone, without a unit."
    return "" if abs(given - wanted) <= tolerance else wrong


def _by_math(answer: str, expected: str, check: CheckSpec, sandbox: Sandbox, pulse: Pulse) -> str:
    shown = repr(clipped(answer, 200))
    nonce = secrets.token_hex(16)
    job = SandboxJob(
        argv=("python", "-P", "-s", _PROGRAM),
        files={_PROGRAM: _program()},
        stdin=json.dumps({"nonce": nonce, "expected": expected, "given": answer}).encode(),
        timeout_seconds=check.timeout_seconds,
        memory_mb=check.memory_mb,
        report_fd=_REPORT_FD,
    )
    result = sandbox.run(job, pulse)
    match _verdict(result.report, nonce):
        case "same":
            return ""
        case "other":
            return f"The answer {shown} is not right."
        case "unreadable":
            return f"The answer {shown} could not be read as one mathematical expression: write it in plain LaTeX."
        case "unreadable expected":
            return "The expected answer of this check could not be read as mathematics: the job must be corrected."
        case _:
            return f"The answer {shown} could not be compared within the limits: write it in a simpler form."


def _verdict(report: bytes, nonce: str) -> str | None:
    try:
        document = json.loads(report)
    except ValueError:
        return None
    return str(document[1]) if isinstance(document, list) and document[:1] == [nonce] else None


def _program() -> str:
    return resources.files("tasks.validators").joinpath("inside/same_math.py").read_text(encoding="utf-8")


def _text(field: str, value: Any) -> str:
    if isinstance(value, bool):  # YAML reads yes, no, on and off as truth values
        raise InvalidInput(field, value, 'a text in quotes, such as "yes" or "true"')
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise InvalidInput(field, value, _ALLOWED if field == "answer" else "a text or a number")
    text = str(value).strip()
    if len(text) > EXPECTED_CHARS or "\n" in text:
        raise InvalidInput(field, text, f"one line of at most {EXPECTED_CHARS} characters")
    return text


def _tolerance(form: str, value: Any) -> str:
    given = None if isinstance(value, bool) else number_of(str(value))
    if form != "number":
        raise InvalidInput("answer.tolerance", value, "a tolerance only beside number")
    if given is None or given < 0:
        raise InvalidInput("answer.tolerance", value, "a number of at least 0")
    return str(given)


def _readable(expression: str) -> bool:
    """Whether math-verify can read what the user wrote; in a child, which can be ended."""
    order = {"nonce": "", "expected": expression, "given": expression, "report": 1}
    try:
        ran = subprocess.run(
            [sys.executable, "-c", _program()],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=READING_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return _verdict(ran.stdout, "") == "same"


def _compile(pattern: str) -> None:
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise InvalidInput("answer.regex", pattern, f"a regular expression ({error})") from None
