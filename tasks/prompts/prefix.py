"""The prompt prefix: the problem with its visible checks, then what earlier jobs taught.

Pure. All prompts of a job begin with it, byte for byte, so that the engine's prefix cache serves it. It must not know a
held-out check's name, value or files: only which form of answer the job's checks read.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.prompts.layout import ATTACHED_CHARS, LESSON_CHARS, PROBLEM_CHARS, RUBRIC_CHARS, TESTS_CHARS, fence, shorten
from tasks.testfiles import beside, shown_files
from tasks.types import CheckSpec, Cut, Job, LessonKind, Modality


def prefix(job: Job, cut: Cut) -> str:
    """What all prompts of the job begin with."""
    return "\n\n".join(part for part in (statement(job, cut), lessons(job, cut)) if part)


def statement(job: Job, cut: Cut) -> str:
    """The problem, the visible checks, and the form of answer."""
    parts = [f"# Problem: {job.spec.title}\n{shorten(job.spec.problem.strip(), PROBLEM_CHARS >> cut.prefix)}"]
    parts.extend(_attachments(job, cut))
    parts.extend(_tests(job, cut))
    parts.extend(_schemas(job, cut))
    parts.extend(_rubrics(job, cut))
    return "\n\n".join([*parts, *_answer_form(job)])


def lessons(job: Job, cut: Cut) -> str:
    """The lessons of earlier jobs, frozen with the job's first iteration."""
    titles = {LessonKind.SUCCESS: "This worked:", LessonKind.FAILURE: "This failed:"}
    room = LESSON_CHARS >> cut.prefix
    parts = []
    for lesson in job.lessons or ():
        named = (("When", lesson.situation), ("Do", lesson.advice), ("Avoid", lesson.avoid))
        lines = "\n".join(f"- {name}: {shorten(text, room)}" for name, text in named if text)
        parts.append(f"{titles[lesson.kind]}\n{lines}")
    return "# What earlier jobs taught\n" + "\n".join(parts) if parts else ""


def rubric_of(check: CheckSpec) -> str:
    """What a `judge` check judges by, beside the problem itself; empty where the problem is all."""
    return next(iter(check.texts.values()), str(check.value)).strip()


def has_check(job: Job, kind: str) -> bool:
    """Whether one of the job's checks, held out or not, is of this kind."""
    return any(check.kind == kind for check in job.spec.checks)


def _tests(job: Job, cut: Cut) -> Iterator[str]:
    """The visible test files, and the names of what lies beside them."""
    files = list(shown_files(job.spec.checks))
    room = _tests_room(job, cut)
    for title, text in files:
        yield f"{title}:\n{fence(shorten(text, room), 'python')}"
    if names := beside(job.spec.checks):
        yield f"The tests may read: {', '.join(names)}"


def _schemas(job: Job, cut: Cut) -> Iterator[str]:
    room = _tests_room(job, cut) or TESTS_CHARS >> cut.prefix
    for check in _visible(job, "schema"):
        for _, text in sorted(check.texts.items()):
            yield f"The JSON must match this schema:\n{fence(shorten(text, room), 'json')}"


def _tests_room(job: Job, cut: Cut) -> int:
    return (TESTS_CHARS >> cut.prefix) // max(1, len(list(shown_files(job.spec.checks))))


def _rubrics(job: Job, cut: Cut) -> Iterator[str]:
    rubrics = [rubric for check in _visible(job, "judge") if (rubric := rubric_of(check))]
    room = (RUBRIC_CHARS >> cut.prefix) // max(1, len(rubrics))
    for rubric in rubrics:
        yield f"The answer will be judged by this rubric:\n{fence(shorten(rubric, room), '')}"


def _visible(job: Job, kind: str) -> list[CheckSpec]:
    return [check for check in job.spec.checks if check.kind == kind and not check.held_out]


def _attachments(job: Job, cut: Cut) -> Iterator[str]:
    """The text attachments, sharing the room that the short ones leave, and the names of the others, in order."""
    media = [attachment.name for attachment in job.spec.attachments if attachment.modality is not Modality.TEXT]
    if media:
        yield f"Attached before this text, in this order: {', '.join(media)}"
    files = [(a.name, job.texts[a.sha256]) for a in job.spec.attachments if a.modality is Modality.TEXT]
    room, shares = ATTACHED_CHARS >> cut.prefix, dict[int, int]()
    for rank, (number, (_, content)) in enumerate(sorted(enumerate(files), key=lambda entry: len(entry[1][1]))):
        shares[number] = min(len(content), room // (len(files) - rank))
        room -= shares[number]
    for number, (name, content) in enumerate(files):
        yield f"Attached file {name}:\n{fence(shorten(content, shares[number]), '')}"


def _answer_form(job: Job) -> Iterator[str]:
    """The form of answer that the checks read; the kind of a held-out check shows in it, and nothing else."""
    if has_check(job, "python"):
        yield "Write the whole solution.py in one Python code block."
    if has_check(job, "schema"):
        yield "Write the result in one JSON code block."
    if has_check(job, "answer"):
        yield "End with one line that holds only the final answer, in this form:\nANSWER: …"
