"""What of a job's checks and verdicts a model may be shown: never a held-out check's name, value, files or feedback,
only that one failed; never an answer that a check expects. Pure; must not know who is shown it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.jobfiles import FILES_CHECK
from tasks.prompts.layout import FEEDBACK_CHARS, WHOLE, Shortener
from tasks.prompts.prefix import statement
from tasks.scoring import is_minimised, shown
from tasks.types import Candidate, CheckSpec, Job, Verdict
from tasks.validators.answer import is_about_form

# The last failures, which a lesson is drawn from.
FAILURES = 6
# A shorter line of a hidden test gives nothing away (`import pytest`).
REVEALING_CHARS = 16
HIDDEN_FAILED = "A hidden check failed."
WRONG_ANSWER = "The answer is wrong."
_WORDS = re.compile(r"-?\w+(?:\.\w+)*")


def feedback(job: Job, candidate: Candidate, shortener: Shortener) -> str:
    """What the failed checks say of a candidate; empty where none failed."""
    checks = {check.name: check for check in job.spec.checks}
    failed = [verdict for verdict in candidate.verdicts if not verdict.passed]
    hidden = [verdict for verdict in failed if _is_hidden(verdict, checks)]
    shown = [verdict for verdict in failed if not _is_hidden(verdict, checks)]
    room = shortener.in_rest(FEEDBACK_CHARS) // max(1, len(shown))
    texts = []
    for verdict in shown:
        said = _visible_feedback(verdict, checks.get(verdict.check))
        texts.append(f"{verdict.check} failed:\n{shortener.shorten(f'feedback of {verdict.check}', said, room)}")
    texts += [HIDDEN_FAILED] if hidden else []
    return "# What the checks say\n" + "\n\n".join(texts) if texts else ""


def measured(job: Job, candidate: Candidate, shortener: Shortener) -> str:
    """The values that visible checks measured of a candidate, with what their evaluators say of one that passed; what a
    failed one says is `feedback`. Empty where none measured anything."""
    found = _measured(job, candidate)
    room = shortener.in_rest(FEEDBACK_CHARS) // max(1, len(found))
    texts = []
    for verdict, check in found:
        said = verdict.feedback.strip() if verdict.passed else ""
        texts.append(shortener.shorten(f"value of {verdict.check}", f"{_value(verdict, check)}\n{said}".strip(), room))
    return "# Its value\n" + "\n\n".join(texts) if texts else ""


def values(job: Job, candidate: Candidate) -> str:
    """In one line, the values that visible checks measured of a candidate; empty where none did."""
    return "; ".join(_value(verdict, check) for verdict, check in _measured(job, candidate))


def visible_failures(job: Job, candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """The feedback of visible checks on the candidates that they rejected, without repetitions, the last `FAILURES`;
    nothing on one that repeats itself, never a hidden check's, nor an answer that a check expects."""
    checks = {check.name: check for check in job.spec.checks}
    failures = [
        f"{verdict.check} failed:\n{_visible_feedback(verdict, checks.get(verdict.check))}"
        for candidate in candidates
        for verdict in candidate.verdicts
        if candidate.guard is None and candidate.let_through is None
        if not verdict.passed and not _is_hidden(verdict, checks)
    ]
    return tuple(dict.fromkeys(reversed(failures)))[:FAILURES][::-1]


def reveals(job: Job, text: str) -> bool:
    """Whether a text contains what would give the job's checks away to another job: an expected answer, or a line of
    a hidden check's files."""
    shown = statement(job, Shortener(WHOLE))
    return any(
        (check.kind == "answer" and _reveals_answer(check, text))
        or (check.held_out and _reveals_file(check, text, shown))
        for check in job.spec.checks
    )


def without_held_out(job: Job, text: str) -> str:
    """A text of others without the lines that stand in a held-out check's files and not in the problem statement."""
    held_out = [check for check in job.spec.checks if check.held_out]
    if not held_out:
        return text
    shown = statement(job, Shortener(WHOLE))
    lines = text.splitlines()
    return "\n".join(line for line in lines if not any(_reveals_file(check, line, shown) for check in held_out))


def _reveals_answer(check: CheckSpec, text: str) -> bool:
    return any(_words(value) in _words(text) for value in _expected(check.value))


def _reveals_file(check: CheckSpec, text: str, shown: str) -> bool:
    """Whether a line of the check's files is in `text` that is not in the problem statement."""
    lines = (line.strip() for file in check.texts.values() for line in file.splitlines())
    return any(len(line) >= REVEALING_CHARS and line in text and line not in shown for line in lines)


def _words(text: str) -> str:
    """In lower case, without what stands between them, with a space at either end."""
    return f" {' '.join(_WORDS.findall(text.lower()))} "


def _is_hidden(verdict: Verdict, checks: Mapping[str, CheckSpec]) -> bool:
    """Held out by the verdict or by its check; a check that the job doesn't have is not shown either, but for what is
    wrong with the answer's files."""
    if verdict.kind == verdict.check == FILES_CHECK:
        return False
    check = checks.get(verdict.check)
    return verdict.held_out or check is None or check.held_out


def _measured(job: Job, candidate: Candidate) -> Sequence[tuple[Verdict, CheckSpec]]:
    checks = {check.name: check for check in job.spec.checks}
    return [
        (verdict, checks[verdict.check])
        for verdict in candidate.verdicts
        if verdict.value is not None and not _is_hidden(verdict, checks)
    ]


def _value(verdict: Verdict, check: CheckSpec) -> str:
    """Such as `score:evaluate.py = 2.5 (more is better), gaps = 3`."""
    better = "less" if is_minimised(check) else "more"
    metrics = "".join(f", {name} = {shown(value)}" for name, value in sorted(verdict.metrics.items()))
    return f"{verdict.check} = {shown(verdict.value or 0.0)} ({better} is better){metrics}"


def _visible_feedback(verdict: Verdict, check: CheckSpec | None) -> str:
    """A visible verdict's feedback, without an expected answer that it may name."""
    if check is None or check.kind != "answer":
        return verdict.feedback.strip() or "(no details)"
    names_answer = any(expected in verdict.feedback for expected in _scalars(check.value))
    if names_answer and not is_about_form(verdict.feedback):
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
