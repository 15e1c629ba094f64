"""What each call is shown: problem, checks, role, candidate, goal. Never the chat so far, so its size is the
same after thirty iterations. Pure: no clock, no I/O, sorted, so that the engine's prefix cache holds.

What a held-out check wants or said never enters a prompt: the model learns only that one failed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re

from tasks.types import Candidate, ChatRequest, CheckSpec, Job, Message

SYSTEM = "You solve problems exactly as they are stated."
# Characters of each part; halved where the window must be shorter.
PROBLEM_CHARS = 24_000
CHECK_CHARS = 4_000
CANDIDATE_CHARS = 6_000
FEEDBACK_CHARS = 1_500
MOST_BUGS = 5
SHORTEST_QUOTE = 3

_QUOTE = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"")


def draft(job: Job, *, shorten: int = 0) -> tuple[Message, ...]:
    """The prompt of a fresh candidate."""
    return _prompt(_head(job, shorten), _goal(job))


def review(job: Job, parent: Candidate, *, shorten: int = 0) -> tuple[Message, ...]:
    """The prompt of a review: problems only, each with a quote of the text it blames."""
    task = (
        "List what is wrong in this attempt, one problem a line, at most five. Quote the exact text that is wrong "
        "in backticks. Do not write a new solution."
    )
    return _prompt(_head(job, shorten), _attempt(parent, shorten), task)


def revise(job: Job, parent: Candidate, bugs: tuple[str, ...], *, shorten: int = 0) -> tuple[Message, ...]:
    """The prompt of a patch."""
    found = "A review found:\n" + "\n".join(f"- {bug}" for bug in bugs) if bugs else ""
    return _prompt(_head(job, shorten), _attempt(parent, shorten), found, "Correct it. " + _goal(job))


def bugs(review_text: str, candidate_text: str) -> tuple[str, ...]:
    """The problems of a review whose quotes stand in the candidate; a bug that blames nothing is dropped."""
    kept: list[str] = []
    for line in review_text.splitlines():
        quotes = [first or second for first, second in _QUOTE.findall(line)]
        if any(len(quote) >= SHORTEST_QUOTE and quote in candidate_text for quote in quotes):
            kept.append(line.strip().lstrip("-*0123456789. "))
    return tuple(kept[:MOST_BUGS])


def prompt_hash(request: ChatRequest) -> str:
    """sha256 over the request as canonical JSON."""
    return hashlib.sha256(json.dumps(dataclasses.asdict(request), sort_keys=True).encode()).hexdigest()


def _prompt(*parts: str) -> tuple[Message, ...]:
    """Two messages whose beginning is the same for every operator of the job."""
    body = "\n\n".join(part for part in parts if part)
    return Message(role="system", content=SYSTEM), Message(role="user", content=body)


def _head(job: Job, shorten: int) -> str:
    shown = [_check(check, shorten) for check in visible(job)]
    return "\n\n".join([_cut(job.spec.problem.strip(), PROBLEM_CHARS, shorten), *(text for text in shown if text)])


def visible(job: Job) -> tuple[CheckSpec, ...]:
    """The checks whose contents a prompt may show."""
    return tuple(check for check in job.spec.checks if not check.held_out)


def _check(check: CheckSpec, shorten: int) -> str:
    if check.kind != "python":
        return ""  # an answer's expected value is never shown
    files = "\n".join(text.strip() for _, text in sorted(check.files.items()))
    return f"These tests import your code from solution.py:\n```python\n{_cut(files, CHECK_CHARS, shorten)}\n```"


def _attempt(parent: Candidate, shorten: int) -> str:
    """A candidate and what the visible checks said of it."""
    said = [v.feedback.strip() for v in parent.verdicts if not v.passed and not v.held_out and v.feedback.strip()]
    if any(not v.passed and v.held_out for v in parent.verdicts):
        said.append("A hidden check failed.")
    feedback = _cut("\n".join(said), FEEDBACK_CHARS, shorten)
    shown = f"An attempt:\n{_cut(parent.text.strip(), CANDIDATE_CHARS, shorten)}"
    return f"{shown}\n\nIt failed:\n{feedback}" if feedback else shown


def _goal(job: Job) -> str:
    """What to write, from the kinds of the checks: a hidden check of a kind asks for the same form."""
    kinds = {check.kind for check in job.spec.checks}
    goals = []
    if "python" in kinds:
        goals.append("Write the whole solution.py in one Python code block. No tests, no explanation.")
    if "answer" in kinds:
        goals.append("End with one line that begins with ANSWER: and gives the answer alone.")
    return " ".join(goals) or "Write the whole solution."


def _cut(text: str, most: int, shorten: int) -> str:
    """The text, or its beginning and end where it is too long."""
    most >>= shorten
    if len(text) <= most:
        return text
    return f"{text[: most * 2 // 3]}\n[…]\n{text[-most // 3 :]}"
