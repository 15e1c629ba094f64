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
    parts = [f"# Problem: {job.spec.title}\n{shorten(job.spec.problem.strip(), PROBLEM_CHARS >> cut.ground)}"]
    parts.extend(_attached(job, cut))
    visible = [check for check in job.spec.checks if not check.held_out]
    files = list(shown_files(job.spec.checks))
    room = (TESTS_CHARS >> cut.ground) // max(1, len(files))
    parts.extend(f"{title}:\n{fence(shorten(text, room), 'python')}" for title, text in files)
    if names := beside(job.spec.checks):
        parts.append(f"The tests may read: {', '.join(names)}")
    if has_check(job, "schema"):
        parts.extend(
            f"The JSON must match this schema:\n{fence(shorten(text, room or TESTS_CHARS >> cut.ground), 'json')}"
            for check in visible
            if check.kind == "schema"
            for _, text in sorted(check.texts.items())
        )
    rubrics = [rubric for check in visible if check.kind == "judge" if (rubric := rubric_of(check))]
    room = (RUBRIC_CHARS >> cut.ground) // max(1, len(rubrics))
    parts.extend(f"The answer will be judged by this rubric:\n{fence(shorten(text, room), '')}" for text in rubrics)
    return "\n\n".join([*parts, *_form(job)])


def lessons(job: Job, cut: Cut) -> str:
    """The lessons of earlier jobs, frozen with the job's first iteration."""
    titles = {LessonKind.SUCCESS: "This worked:", LessonKind.FAILURE: "This failed:"}
    room = LESSON_CHARS >> cut.ground
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
    return any(check.kind == kind for check in job.spec.checks)


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
        yield f"Attached file {name}:\n{fence(shorten(content, shares[number]), '')}"


def _form(job: Job) -> Iterator[str]:
    """The form of answer that the checks read; a held-out check's kind decides it too, and tells nothing else."""
    if has_check(job, "python"):
        yield "Write the whole solution.py in one Python code block."
    if has_check(job, "schema"):
        yield "Write the result in one JSON code block."
    if has_check(job, "answer"):
        yield "End with one line that holds only the final answer, in this form:\nANSWER: …"
