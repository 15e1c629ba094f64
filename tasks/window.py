"""What a model is shown: problem and visible checks first, then what earlier jobs taught, then the role, one candidate
and its feedback, the goal.

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

from tasks.testfiles import beside, shown_files
from tasks.types import Candidate, ChatRequest, CheckSpec, Cut, Job, LessonKind, Message, Modality, Verdict
from tasks.validators.answer import is_about_form

# Characters, about four to a token: all but the longest problems fit an 8K window.
PROBLEM_CHARS = 24_000
CANDIDATE_CHARS = 6_000
FEEDBACK_CHARS = 1_500
TESTS_CHARS = 4_000
RUBRIC_CHARS = 4_000
# A judge that has not read all of an answer can't vouch for it: room for all that a model writes at once.
JUDGED_CHARS = 20_000
# Of all text attachments together.
ATTACHED_CHARS = 12_000
BUGS = 5
# Rejected answers that the cloud model is shown.
TRIES = 3
# Of each line of a lesson, where it is shown and where it is kept.
LESSON_CHARS = 400
# Failures that a lesson is drawn from, the last ones.
FAILURES = 6
# A line of a hidden test that is shorter says nothing of its own (`import pytest`).
REVEALING_CHARS = 16
# A shorter quote stands in any text and proves nothing.
QUOTE_CHARS = 3

WHOLE = Cut()
SYSTEM = "You solve problems carefully. A program checks your answer, so keep exactly to the form that is asked for."
HIDDEN_FAILED = "A hidden check failed."
WRONG_ANSWER = "The answer is wrong."

_ITEM = re.compile(r"^\s{0,3}(?:[-*•+]|\(?\d{1,2}[.):])\s+")
_LABEL = re.compile(r"^[\s>*_#`\d.()-]*(when|do|avoid)[\s*_`]*:[\s*_`]*(.*)$", re.IGNORECASE)
# Our own words handed back.
_ASKED = re.compile(r"^\(?(?:the kind of problem|what to do|the mistake to avoid)\W*$", re.IGNORECASE)
_ANSWER = re.compile(r"^\W*ANSWER\W*:", re.IGNORECASE)
_WORDS = re.compile(r"-?\w+(?:\.\w+)*")
_QUOTES = re.compile(r"```[^\n`]*\n(.*?)```|``([^`]+)``|`([^`\n]+)`|\"([^\"\n]+)\"|“([^”\n]+)”", re.DOTALL)


def draft(job: Job, *, cut: Cut = WHOLE) -> tuple[Message, ...]:
    """Asks for a fresh answer, with limits halved as `cut` says."""
    role = "# Task\nSolve the problem above. Think of the edge cases before you write."
    return _prompt(job, cut, _prefix(job, cut), role, _goal(job))


def review(job: Job, parent: Candidate, *, cut: Cut = WHOLE) -> tuple[Message, ...]:
    """Asks for a list of problems of `parent`, each with a quote; no fix, no praise."""
    role = (
        f"# Task\nBelow is an answer to the problem above. List what is wrong with it, at most {BUGS} problems, "
        "the worst first. Write each on a line of its own that begins with `- `, and quote in backticks the exact "
        "text of the answer that is wrong. Do not write a new answer. If nothing is wrong, write: NO PROBLEMS"
    )
    shown = (_candidate(parent, cut), _feedback(job, parent, cut))
    order = "List the problems of the answer now, each with its quote."
    return _prompt(job, cut, _prefix(job, cut), role, *shown, order)


def revise(job: Job, parent: Candidate, bugs: tuple[str, ...], *, cut: Cut = WHOLE) -> tuple[Message, ...]:
    """Asks for the whole answer anew with the problems of `parent` mended."""
    role = (
        "# Task\nBelow is an answer to the problem above that is not right yet. Correct it and write all of it again."
    )
    found = ""
    if bugs:
        listed = "\n".join(f"- {bug}" for bug in bugs[:BUGS])
        found = "# What a reviewer found\n" + _shorter(listed, _room(FEEDBACK_CHARS, cut))
    shown = (_candidate(parent, cut), _feedback(job, parent, cut), found)
    return _prompt(job, cut, _prefix(job, cut), role, *shown, _goal(job))


def judge(
    job: Job, candidate: Candidate, rubric: str, task: str, order: str, *, cut: Cut = WHOLE
) -> tuple[Message, ...]:
    """Asks a judge about `candidate`, which it sees without what other checks said. `rubric`, where there is any, is
    that of one check. All that differs between two judges, `task` and `order`, comes last."""
    parts = [_candidate(candidate, cut, JUDGED_CHARS)]
    if rubric:
        parts.append("# The rubric\n" + _fenced(_shorter(rubric, _room(RUBRIC_CHARS, cut)), ""))
    return _prompt(job, cut, _prefix(job, cut), *parts, task, order)


def escalate(job: Job) -> tuple[Message, ...]:
    """Asks the cloud model for the whole answer: the problem, the best tries so far and what the checks said of them.

    All that leaves the house with an escalation, of the same size after thirty iterations as after ten.
    """
    role = (
        "# Task\nBelow are answers to the problem above that are not right, and what the checks say of each. "
        "Find out why they fail, then write a right answer of your own, whole."
    )
    shown = [f"{_candidate(tried, WHOLE)}\n\n{_feedback(job, tried, WHOLE)}" for tried in _best(job)]
    return _prompt(job, WHOLE, _prefix(job, WHOLE), role if shown else "", *shown, _goal(job))


def bugs(review_text: str, candidate_text: str) -> tuple[str, ...]:
    """The problems a review reports, at most `BUGS`, one line each.

    Only those that quote, in backticks or double quotes, text that stands in the candidate (but for white space).
    """
    candidate = " ".join(candidate_text.split())
    found: list[str] = []
    for item in _items(review_text):
        quotes = (" ".join(next(group for group in match if group).split()) for match in _QUOTES.findall(item))
        bug = _shorter(" ".join(item.split()), FEEDBACK_CHARS // 3)
        if bug not in found and any(len(quote) >= QUOTE_CHARS and quote in candidate for quote in quotes):
            found.append(bug)
    return tuple(found[:BUGS])


def distil(
    job: Job, *, accepted: Candidate | None = None, failures: Sequence[str] = (), cut: Cut = WHOLE
) -> tuple[Message, ...]:
    """Asks what the ended job teaches, in three lines: of the `accepted` answer, or of `failures` as checks told them.

    Without the lessons that the job was given, for a lesson is never made of lessons.
    """
    if accepted is not None:
        told = "The answer below to the problem above was checked and is right. Write down what made it work"
        answer = "\n".join(line for line in accepted.text.strip().splitlines() if not _ANSWER.match(line))
        shown = "# The answer\n" + _fenced(_shorter(answer, _room(CANDIDATE_CHARS, cut)), "")
    else:
        told = "No answer to the problem above was right. Write down what went wrong, from what the checks said"
        room = _room(FEEDBACK_CHARS, cut) // max(1, len(failures))
        shown = "# What the checks said\n" + "\n\n".join(_shorter(failure, room) for failure in failures)
    role = (
        f"# Task\n{told}, as a lesson for somebody who will solve another problem of this kind. Name no value that "
        "is the answer. Write exactly three short lines, which begin with `WHEN:` (the kind of problem), `DO:` (what "
        "to do) and `AVOID:` (the mistake to avoid)."
    )
    return _prompt(job, cut, _given(job, cut), role, shown, "Write the three lines WHEN:, DO: and AVOID: now.")


def lesson_lines(text: str) -> tuple[str, str, str] | None:
    """When, do and avoid out of a model's words, one line each; None where it did not say when, or neither of the
    others. Labels may be in any case and in bold, and a line may go on below."""
    found: dict[str, list[str]] = {}
    label = ""
    for line in text.splitlines():
        match = _LABEL.match(line)
        if match and match[1].lower() in found:
            break  # a second lesson: one was asked for
        if match:
            label = match[1].lower()
            found[label] = [match[2]]
        elif label and (line.strip().startswith("```") or (not line.strip() and any(found[label]))):
            label = ""  # what follows is no part of it
        elif label:
            found[label].append(line)
    lines = {name: _one_line(" ".join(parts)) for name, parts in found.items()}
    when, do, avoid = ("" if _ASKED.search(line := lines.get(n, "")) else line for n in ("when", "do", "avoid"))
    return (when, do, avoid) if when and (do or avoid) else None


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
    shown = _given(job, WHOLE)
    for check in job.spec.checks:
        expected = _expected(check.value) if check.kind == "answer" else ()
        if any(f" {' '.join(_WORDS.findall(value.lower()))} " in words for value in expected):
            return True
        lines = (line.strip() for file in check.texts.values() for line in file.splitlines()) if check.held_out else ()
        if any(len(line) >= REVEALING_CHARS and line in text and line not in shown for line in lines):
            return True
    return False


def prompt_hash(request: ChatRequest) -> str:
    """SHA-256, in hex, of the canonical JSON of the messages and the sampling. Whether it thinks is the model's."""
    told = dataclasses.asdict(request)
    del told["thinking_tokens"]
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


# ── the parts of a prompt ─────────────────────────────────────────────────────────────────────


def _prompt(job: Job, cut: Cut, ground: str, *rest: str) -> tuple[Message, ...]:
    content = "\n\n".join(part for part in (ground, *(rest if cut.rest is not None else ())) if part)
    media = tuple(attachment for attachment in job.spec.attachments if attachment.modality is not Modality.TEXT)
    return (Message(role="system", content=SYSTEM), Message(role="user", content=content, attachments=media))


def _room(chars: int, cut: Cut) -> int:
    """Of a part that follows the ground."""
    return chars >> (cut.rest or 0)


def _prefix(job: Job, cut: Cut) -> str:
    """What all prompts of the job begin with."""
    return "\n\n".join(part for part in (_given(job, cut), _taught(job, cut)) if part)


def _taught(job: Job, cut: Cut) -> str:
    """The lessons of earlier jobs, frozen with the job's first iteration."""
    titles = {LessonKind.SUCCESS: "This worked:", LessonKind.FAILURE: "This failed:"}
    room = LESSON_CHARS >> cut.ground
    parts = []
    for lesson in job.lessons or ():
        named = (("When", lesson.situation), ("Do", lesson.advice), ("Avoid", lesson.avoid))
        lines = "\n".join(f"- {name}: {_shorter(text, room)}" for name, text in named if text)
        parts.append(f"{titles[lesson.kind]}\n{lines}")
    return "# What earlier jobs taught\n" + "\n".join(parts) if parts else ""


def _given(job: Job, cut: Cut) -> str:
    """The problem, the visible checks, and the form of answer."""
    parts = [f"# Problem: {job.spec.title}\n{_shorter(job.spec.problem.strip(), PROBLEM_CHARS >> cut.ground)}"]
    parts.extend(_attached(job, cut))
    visible = [check for check in job.spec.checks if not check.held_out]
    files = list(shown_files(job.spec.checks))
    room = (TESTS_CHARS >> cut.ground) // max(1, len(files))
    parts.extend(f"{title}:\n{_fenced(_shorter(text, room), 'python')}" for title, text in files)
    if names := beside(job.spec.checks):
        parts.append(f"The tests may read: {', '.join(names)}")
    if _wants(job, "schema"):
        parts.extend(
            f"The JSON must match this schema:\n{_fenced(_shorter(text, room or TESTS_CHARS >> cut.ground), 'json')}"
            for check in visible
            if check.kind == "schema"
            for _, text in sorted(check.texts.items())
        )
    rubrics = [rubric for check in visible if check.kind == "judge" if (rubric := rubric_of(check))]
    room = (RUBRIC_CHARS >> cut.ground) // max(1, len(rubrics))
    parts.extend(f"The answer will be judged by this rubric:\n{_fenced(_shorter(text, room), '')}" for text in rubrics)
    return "\n\n".join([*parts, *_form(job)])


def rubric_of(check: CheckSpec) -> str:
    """What a `judge` check judges by, beside the problem itself; empty where the problem is all."""
    return next(iter(check.texts.values()), str(check.value)).strip()


def _attached(job: Job, cut: Cut) -> Iterator[str]:
    """The text attachments, the short ones whole; of the others the names, in the order in which they come."""
    media = [attachment.name for attachment in job.spec.attachments if attachment.modality is not Modality.TEXT]
    if media:
        yield f"Attached before this text, in this order: {', '.join(media)}"
    files = [(a.name, job.texts[a.sha256]) for a in job.spec.attachments if a.modality is Modality.TEXT]
    room, shares = ATTACHED_CHARS >> cut.ground, dict[int, int]()
    for done, (number, (_, content)) in enumerate(sorted(enumerate(files), key=lambda entry: len(entry[1][1]))):
        shares[number] = min(len(content), room // (len(files) - done))
        room -= shares[number]
    for number, (name, content) in enumerate(files):
        yield f"Attached file {name}:\n{_fenced(_shorter(content, shares[number]), '')}"


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


def _candidate(candidate: Candidate, cut: Cut, chars: int = CANDIDATE_CHARS) -> str:
    return "# The answer\n" + _fenced(_shorter(candidate.text.strip(), _room(chars, cut)), "")


def _best(job: Job) -> Sequence[Candidate]:
    """The candidates that came nearest, of equal texts the first only, in their own order."""
    tried: dict[str, Candidate] = {}
    for candidate in (candidate for iteration in job.history for candidate in iteration.candidates):
        if candidate.guard is None and candidate.text.strip():
            tried.setdefault(" ".join(candidate.text.split()), candidate)
    best = sorted(tried.values(), key=lambda candidate: (candidate.score, candidate.ref), reverse=True)[:TRIES]
    return sorted(best, key=lambda candidate: candidate.ref)


def _feedback(job: Job, candidate: Candidate, cut: Cut) -> str:
    checks = {check.name: check for check in job.spec.checks}
    failed = [verdict for verdict in candidate.verdicts if not verdict.passed]
    hidden = [verdict for verdict in failed if _is_hidden(verdict, checks)]
    shown = [verdict for verdict in failed if not _is_hidden(verdict, checks)]
    room = _room(FEEDBACK_CHARS, cut) // max(1, len(shown))
    said = [f"{verdict.check} failed:\n{_shorter(_said(verdict, checks[verdict.check]), room)}" for verdict in shown]
    said += [HIDDEN_FAILED] if hidden else []
    return "# What the checks say\n" + "\n\n".join(said) if said else ""


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


def _shorter(text: str, chars: int) -> str:
    """Two thirds from the beginning and one from the end, where the text is longer than `chars`."""
    if len(text) <= chars:
        return text
    mark = f"\n… ({len(text) - chars:,} characters left out) …\n"
    kept = max(0, chars - len(mark))
    tail = kept // 3
    return text[: kept - tail] + mark + (text[-tail:] if tail else "")


def _one_line(text: str) -> str:
    """A lesson's line as it is kept, cut at a word."""
    line = " ".join(text.split()).strip("*_` ")
    return line if len(line) <= LESSON_CHARS else line[:LESSON_CHARS].rsplit(" ", 1)[0] + " …"


def _fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
