"""The check `answer: …`: the candidate's last line that begins `ANSWER:`, compared as a text, as a number, by a regular
expression, or as mathematics.

Where the answer cannot be read in the expected form, the feedback is a fixed sentence that quotes nothing and reveals
nothing about the value. Must not know how an answer is extracted, nor how mathematics is compared.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import regex

from tasks.errors import InvalidInput
from tasks.ports import Heartbeat, Sandbox
from tasks.types import CheckSpec, Verdict
from tasks.validators import mathematics
from tasks.validators.extraction import AnswerLine, find_answer, layers, number_of
from tasks.validators.mathematics import Comparison
from tasks.validators.text import clipped
from tasks.validators.verdicts import verdict_of

FORMS = ("exact", "regex", "math", "number")
EXPECTED_CHARS = 1000
ANSWER_CHARS = 2000
BEHAVIOUR_CHARS = 200
MATCH_SECONDS = 1.0  # a pattern that needs longer on 2,000 characters backtracks without end
_FORM = "The form of the answer could not be read: "
NO_LINE = _FORM + "there is no line that begins `ANSWER:`. End with one line `ANSWER: ` followed by the answer alone."
TWO_LINES = _FORM + "two lines begin `ANSWER:` and differ, the last one in a code block. End with one, outside of code."
NO_VALUE = _FORM + "the line that begins `ANSWER:` must hold the answer, in at most 2,000 characters."
NO_NUMBER = _FORM + "write one number in digits, such as 42, -0.5 or 1/3, without a unit, a sign of percent or words."
NO_VALUE_ALONE = _FORM + "write the value alone, without a sentence, a name, a unit or alternatives."
NO_MATH = _FORM + "write one value or expression in plain LaTeX, without a sentence, work steps or alternatives."
_ALLOWED = "a text or a number, or {exact|regex|math|number: ..., tolerance: ...}"


class AnswerValidator:
    """One right answer. Score: 1 or 0."""

    kind: ClassVar[str] = "answer"
    cost: ClassVar[int] = 1

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """A text for a scalar; otherwise a mapping of one form to its value as a text, and of `tolerance` if present.

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
        if form == "math" and not mathematics.is_readable(stored[form]):
            raise InvalidInput(
                "answer.math", value[form], "one mathematical expression in LaTeX, such as \\frac{1}{2} or x^2+1"
            )
        return stored, {}

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """Raises only `ServiceFault`s and what `heartbeat` raises."""
        started = time.monotonic()
        feedback = _compare_line(find_answer(candidate), check, sandbox, heartbeat)
        return verdict_of(check, feedback=feedback, seconds=time.monotonic() - started)

    def behaviour(
        self, candidate: str, check: CheckSpec, inputs: Sequence[str], sandbox: Sandbox, heartbeat: Heartbeat
    ) -> str | None:
        """The answer without its markup, as a number where it is one; None without an answer line."""
        line = find_answer(candidate)
        if line is None or line.ambiguous or not line.value:
            return None
        *_, bare = layers(line.value, brackets=True)
        number = _first(number_of(layer) for layer in layers(line.value, brackets=True))
        return " ".join(bare.casefold().split())[:BEHAVIOUR_CHARS] if number is None else str(number)


def is_about_form(feedback: str) -> bool:
    """Whether the feedback of this check only says that the answer could not be read. Such feedback reveals no value,
    although an expected `a` or `1` may occur in its words."""
    return feedback.startswith(_FORM)


def _compare_line(line: AnswerLine | None, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> str:
    """Empty where the answer is right; otherwise feedback for the model, which never names the right answer."""
    if line is None:
        return NO_LINE
    if line.ambiguous:
        return TWO_LINES
    return _compare(line.value, check, sandbox, heartbeat) if 0 < len(line.value) <= ANSWER_CHARS else NO_VALUE


def _compare(answer: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> str:
    value = check.value if isinstance(check.value, Mapping) else {"plain": check.value}
    form = next(name for name in ("plain", *FORMS) if name in value)
    expected = str(value[form])
    quoted_answer = f"The answer {clipped(answer, 200)!r}"
    match form:
        case "plain":
            return _by_text(answer, expected, f"{quoted_answer} is not right.")
        case "exact":
            wrong = f"{quoted_answer} is not what is expected, character for character: form and value count."
            return "" if answer == expected else wrong
        case "regex":
            return _by_pattern(
                answer, expected, f"{quoted_answer} does not match what is expected: form and value count."
            )
        case "number":
            tolerance = Fraction(str(value.get("tolerance", "0")))
            return _by_number(answer, expected, tolerance, f"{quoted_answer} is not right.")
        case _:
            return _by_math(
                answer, expected, quoted_answer, mathematics.compare(expected, answer, check, sandbox, heartbeat)
            )


def _by_text(answer: str, expected: str, wrong: str) -> str:
    """Equal as texts without their markup, or equal as numbers: 42.0 is 42, since `answer: 42` means the number.

    Brackets and a full stop in the expected text belong to it; those around the answer are removed.
    """
    expected_layers = {" ".join(layer.split()) for layer in layers(expected)}
    answer_layers = [" ".join(layer.split()) for layer in layers(answer, brackets=True)]
    if not expected_layers.isdisjoint(answer_layers):
        return ""
    number = number_of(expected)
    if number is None:
        return wrong if _is_shaped_as(answer_layers[-1], expected) else NO_VALUE_ALONE
    return _by_number(answer, expected, Fraction(0), wrong)


def _is_shaped_as(answer: str, expected: str) -> bool:
    """Whether the answer could be a value like the expected one: it has no more words, and no other punctuation."""
    marks = set(re.findall(r"[^\w\s]", answer)) - set(re.findall(r"[^\w\s]", expected))
    return len(answer.split()) <= len(expected.split()) and not marks


def _by_pattern(answer: str, pattern: str, wrong: str) -> str:
    try:
        # `concurrent` releases the interpreter lock meanwhile, so that other slots of the worker go on.
        match = regex.fullmatch(pattern, answer, timeout=MATCH_SECONDS, concurrent=True)
    except TimeoutError:
        return wrong + " (Comparing it with the pattern took too long.)"
    return "" if match else wrong


def _by_number(answer: str, expected: str, tolerance: Fraction, wrong: str) -> str:
    number = _first(number_of(layer) for layer in layers(answer, brackets=True))
    expected_number = number_of(expected)
    if number is None or expected_number is None:
        return NO_NUMBER
    return "" if abs(number - expected_number) <= tolerance else wrong


def _first(numbers: Iterable[Fraction | None]) -> Fraction | None:
    return next((number for number in numbers if number is not None), None)


def _by_math(answer: str, expected: str, quoted_answer: str, comparison: Comparison | None) -> str:
    match comparison:
        case Comparison.SAME:
            return ""
        case Comparison.OTHER:
            return f"{quoted_answer} is not right."
        case Comparison.UNREADABLE:
            return NO_MATH
        case Comparison.UNREADABLE_EXPECTED:
            return "The expected answer of this check could not be read as mathematics: the job must be corrected."
        case _:
            return f"{quoted_answer} could not be compared within the limits: write it in a simpler form."


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
    tolerance = None if isinstance(value, bool) else number_of(str(value))
    if form != "number":
        raise InvalidInput("answer.tolerance", value, "a tolerance only beside number")
    if tolerance is None or tolerance < 0:
        raise InvalidInput("answer.tolerance", value, "a number of at least 0")
    return str(tolerance)


def _compile(pattern: str) -> None:
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise InvalidInput("answer.regex", pattern, f"a regular expression ({error})") from None
