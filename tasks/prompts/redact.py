"""What of a job's checks and verdicts a model may be shown: never a held-out check's name, value, files or feedback,
only that one failed; never an answer that a check expects. Pure; must not know who is shown it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.prompts.layout import FEEDBACK_CHARS, WHOLE, room_for, shorten
from tasks.prompts.prefix import statement
from tasks.types import Candidate, CheckSpec, Cut, Job, Verdict
from tasks.validators.answer import is_about_form

# Failures that a lesson is drawn from, the last ones.
FAILURES = 6
# A line of a hidden test that is shorter says nothing of its own (`import pytest`).
REVEALING_CHARS = 16
HIDDEN_FAILED = "A hidden check failed."
WRONG_ANSWER = "The answer is wrong."
_WORDS = re.compile(r"-?\w+(?:\.\w+)*")


def feedback(job: Job, candidate: Candidate, cut: Cut) -> str:
    checks = {check.name: check for check in job.spec.checks}
    failed = [verdict for verdict in candidate.verdicts if not verdict.passed]
    hidden = [verdict for verdict in failed if _is_hidden(verdict, checks)]
    shown = [verdict for verdict in failed if not _is_hidden(verdict, checks)]
    room = room_for(FEEDBACK_CHARS, cut) // max(1, len(shown))
    said = [f"{verdict.check} failed:\n{shorten(_said(verdict, checks[verdict.check]), room)}" for verdict in shown]
    said += [HIDDEN_FAILED] if hidden else []
    return "# What the checks say\n" + "\n\n".join(said) if said else ""


def visible_failures(job: Job, candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """What visible checks said of the candidates that they rejected, each thing once, the last `FAILURES`; never what
    a hidden check said, nor an answer that a check expects."""
    checks = {check.name: check for check in job.spec.checks}
    said = [
        f"{verdict.check} failed:\n{_said(verdict, checks[verdict.check])}"
        for candidate in candidates
        for verdict in candidate.verdicts
        if candidate.guard is None and not verdict.passed and not _is_hidden(verdict, checks)
    ]
    return tuple(dict.fromkeys(reversed(said)))[:FAILURES][::-1]


def reveals(job: Job, text: str) -> bool:
    """Whether a text holds what would give the job's checks away to another job: an expected answer, or a line of a
    hidden check's files."""
    words = f" {' '.join(_WORDS.findall(text.lower()))} "
    shown = statement(job, WHOLE)
    for check in job.spec.checks:
        expected = _expected(check.value) if check.kind == "answer" else ()
        if any(f" {' '.join(_WORDS.findall(value.lower()))} " in words for value in expected):
            return True
        lines = (line.strip() for file in check.texts.values() for line in file.splitlines()) if check.held_out else ()
        if any(len(line) >= REVEALING_CHARS and line in text and line not in shown for line in lines):
            return True
    return False


def _is_hidden(verdict: Verdict, checks: Mapping[str, CheckSpec]) -> bool:
    """Held out by the verdict or by its check; a check that the job doesn't have is not shown either."""
    check = checks.get(verdict.check)
    return verdict.held_out or check is None or check.held_out


def _said(verdict: Verdict, check: CheckSpec) -> str:
    """A visible verdict's feedback, without an expected answer that it may name."""
    names_it = any(expected in verdict.feedback for expected in _scalars(check.value))
    if check.kind == "answer" and names_it and not is_about_form(verdict.feedback):
        return WRONG_ANSWER
    return verdict.feedback.strip() or "(no details)"


def _expected(value: Any) -> Iterator[str]:
    """The values of an `answer` check that an answer is compared with."""
    return _scalars(
        {name: v for name, v in value.items() if name != "tolerance"} if isinstance(value, Mapping) else value
    )


def _scalars(value: Any) -> Iterator[str]:
    match value:
        case Mapping():
            for inner in value.values():
                yield from _scalars(inner)
        case list() | tuple():
            for inner in value:
                yield from _scalars(inner)
        case None | "" | bool():
            return
        case _:
            yield str(value)
