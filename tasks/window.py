"""What a model is shown: problem and visible checks first, then the role, one candidate and its feedback, the goal.

Pure. A prompt has the same size at iteration 30 as at iteration 1, and begins the same for every operator of
a job, so that the engine's prefix cache serves it. It must not know a held-out check's name, value, files or
feedback: only that one failed, and which form of answer the job's checks read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.types import Candidate, ChatRequest, CheckSpec, Job, Message, Modality, Verdict

# Characters, about four to a token: all but the longest problems fit an 8K window.
PROBLEM_CHARS = 24_000
CANDIDATE_CHARS = 6_000
FEEDBACK_CHARS = 1_500
TESTS_CHARS = 4_000
# Of all text attachments together.
ATTACHED_CHARS = 12_000
BUGS = 5
# A shorter quote stands in any text and proves nothing.
QUOTE_CHARS = 3

SYSTEM = "You solve problems carefully. A program checks your answer, so keep exactly to the form that is asked for."
HIDDEN_FAILED = "A hidden check failed."
WRONG_ANSWER = "The answer is wrong."

_ITEM = re.compile(r"^\s{0,3}(?:[-*•+]|\(?\d{1,2}[.):])\s+")
_QUOTES = re.compile(r"```[^\n`]*\n(.*?)```|``([^`]+)``|`([^`\n]+)`|\"([^\"\n]+)\"|“([^”\n]+)”", re.DOTALL)


def draft(job: Job, *, shorten: int = 0) -> tuple[Message, ...]:
    """Asks for a fresh answer. `shorten` = 1 halves every limit."""
    role = "# Task\nSolve the problem above. Think of the edge cases before you write."
    return _messages(job, _ground(job, shorten), role, _goal(job))


def review(job: Job, parent: Candidate, *, shorten: int = 0) -> tuple[Message, ...]:
    """Asks for a list of problems of `parent`, each with a quote; no fix, no praise."""
    role = (
        f"# Task\nBelow is an answer to the problem above. List what is wrong with it, at most {BUGS} problems, "
        "the worst first. Write each on a line of its own that begins with `- `, and quote in backticks the exact "
        "text of the answer that is wrong. Do not write a new answer. If nothing is wrong, write: NO PROBLEMS"
    )
    shown = (_candidate(parent, shorten), _feedback(job, parent, shorten))
    order = "List the problems of the answer now, each with its quote."
    return _messages(job, _ground(job, shorten), role, *shown, order)


def revise(job: Job, parent: Candidate, bugs: tuple[str, ...], *, shorten: int = 0) -> tuple[Message, ...]:
    """Asks for the whole answer anew with the problems of `parent` mended."""
    role = (
        "# Task\nBelow is an answer to the problem above that is not right yet. Correct it and write all of it again."
    )
    found = ""
    if bugs:
        listed = "\n".join(f"- {bug}" for bug in bugs[:BUGS])
        found = "# What a reviewer found\n" + _cut(listed, FEEDBACK_CHARS >> shorten)
    shown = (_candidate(parent, shorten), _feedback(job, parent, shorten), found)
    return _messages(job, _ground(job, shorten), role, *shown, _goal(job))


def bugs(review_text: str, candidate_text: str) -> tuple[str, ...]:
    """The problems a review reports, at most `BUGS`, one line each.

    Only those that quote, in backticks or double quotes, text that stands in the candidate (but for white space).
    """
    candidate = " ".join(candidate_text.split())
    found: list[str] = []
    for item in _items(review_text):
        quotes = (" ".join(next(group for group in match if group).split()) for match in _QUOTES.findall(item))
        bug = _cut(" ".join(item.split()), FEEDBACK_CHARS // 3)
        if bug not in found and any(len(quote) >= QUOTE_CHARS and quote in candidate for quote in quotes):
            found.append(bug)
    return tuple(found[:BUGS])


def prompt_hash(request: ChatRequest) -> str:
    """SHA-256, in hex, of the canonical JSON of the messages and the sampling."""
    canonical = json.dumps(dataclasses.asdict(request), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


# ── the parts of a prompt ─────────────────────────────────────────────────────────────────────


def _messages(job: Job, *parts: str) -> tuple[Message, ...]:
    content = "\n\n".join(part for part in parts if part)
    media = tuple(attachment for attachment in job.spec.attachments if attachment.modality is not Modality.TEXT)
    return (Message(role="system", content=SYSTEM), Message(role="user", content=content, attachments=media))


def _ground(job: Job, shorten: int) -> str:
    """What all prompts of the job begin with."""
    parts = [f"# Problem: {job.spec.title}\n{_cut(job.spec.problem.strip(), PROBLEM_CHARS >> shorten)}"]
    parts.extend(_attached(job, shorten))
    visible = [check for check in job.spec.checks if not check.held_out]
    files = [file for check in visible if check.kind == "python" for file in sorted(check.files.items())]
    room = (TESTS_CHARS >> shorten) // max(1, len(files))
    for name, text in files:
        parts.append(f"solution.py will be checked by this file ({name}):\n{_fenced(_cut(text, room), 'python')}")
    if _wants(job, "schema"):
        parts.extend(
            f"The JSON must match this schema:\n{_fenced(_cut(text, room or TESTS_CHARS >> shorten), 'json')}"
            for check in visible
            if check.kind == "schema"
            for _, text in sorted(check.files.items())
        )
    return "\n\n".join([*parts, *_form(job)])


def _attached(job: Job, shorten: int) -> Iterator[str]:
    """The text attachments, the short ones whole; of the others the names, in the order in which they come."""
    media = [attachment.name for attachment in job.spec.attachments if attachment.modality is not Modality.TEXT]
    if media:
        yield f"Attached before this text, in this order: {', '.join(media)}"
    files = [(a.name, job.texts[a.sha256]) for a in job.spec.attachments if a.modality is Modality.TEXT]
    room, shares = ATTACHED_CHARS >> shorten, dict[int, int]()
    for done, (number, (_, content)) in enumerate(sorted(enumerate(files), key=lambda entry: len(entry[1][1]))):
        shares[number] = min(len(content), room // (len(files) - done))
        room -= shares[number]
    for number, (name, content) in enumerate(files):
        yield f"Attached file {name}:\n{_fenced(_cut(content, shares[number]), '')}"


def _form(job: Job) -> Iterator[str]:
    """The form of answer that the checks read; a held-out check's kind decides it too, and tells nothing else."""
    if _wants(job, "python"):
        yield "Write the whole solution.py in one Python code block."
    if _wants(job, "schema"):
        yield "Write the result in one JSON code block."
    if _wants(job, "answer"):
        yield "End with one line that holds only the final answer, in this form:\nANSWER: …"


def _goal(job: Job) -> str:
    if _wants(job, "python"):
        return "Write the whole solution.py now, in one Python code block."
    if _wants(job, "schema"):
        return "Write the JSON code block now."
    if _wants(job, "answer"):
        return "Solve it now and end with the line `ANSWER: …`."
    return "Write the whole answer now."


def _wants(job: Job, kind: str) -> bool:
    return any(check.kind == kind for check in job.spec.checks)


def _candidate(candidate: Candidate, shorten: int) -> str:
    return "# The answer\n" + _fenced(_cut(candidate.text.strip(), CANDIDATE_CHARS >> shorten), "")


def _feedback(job: Job, candidate: Candidate, shorten: int) -> str:
    checks = {check.name: check for check in job.spec.checks}
    failed = [verdict for verdict in candidate.verdicts if not verdict.passed]
    hidden = [verdict for verdict in failed if _is_hidden(verdict, checks)]
    shown = [verdict for verdict in failed if not _is_hidden(verdict, checks)]
    room = (FEEDBACK_CHARS >> shorten) // max(1, len(shown))
    said = [f"{verdict.check} failed:\n{_cut(_said(verdict, checks[verdict.check]), room)}" for verdict in shown]
    said += [HIDDEN_FAILED] if hidden else []
    return "# What the checks say\n" + "\n\n".join(said) if said else ""


def _is_hidden(verdict: Verdict, checks: Mapping[str, CheckSpec]) -> bool:
    """Held out by the verdict or by its check; a check that the job doesn't have is not shown either."""
    check = checks.get(verdict.check)
    return verdict.held_out or check is None or check.held_out


def _said(verdict: Verdict, check: CheckSpec) -> str:
    """A visible verdict's feedback, without an expected answer that it may name."""
    if check.kind == "answer" and any(expected in verdict.feedback for expected in _scalars(check.value)):
        return WRONG_ANSWER
    return verdict.feedback.strip() or "(no details)"


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


def _items(review_text: str) -> Sequence[str]:
    """The entries of a list with the lines that belong to them; without any list, each line."""
    lines = review_text.strip().splitlines()
    if not any(_ITEM.match(line) for line in lines):
        return [line for line in lines if line.strip()]
    items: list[list[str]] = []
    fenced = False
    for line in lines:
        start = None if fenced else _ITEM.match(line)
        fenced ^= line.lstrip().startswith("```")
        if start:
            items.append([line[start.end() :]])
        elif items:
            items[-1].append(line)
    return ["\n".join(item) for item in items]


def _cut(text: str, chars: int) -> str:
    """Two thirds from the beginning and one from the end, where the text is longer than `chars`."""
    if len(text) <= chars:
        return text
    mark = f"\n… ({len(text) - chars:,} characters left out) …\n"
    kept = max(0, chars - len(mark))
    tail = kept // 3
    return text[: kept - tail] + mark + (text[-tail:] if tail else "")


def _fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
