"""The prompt prefix: the problem with its attachments and visible checks, then what earlier jobs taught.

Pure. The problem and its attachments are whole unless the cut says otherwise. All prompts of a job begin with it, byte
for byte, so that the engine's prefix cache serves it. It must not know a held-out check's name, value or files: only
which form of answer the job's checks read.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.prompts.layout import FILES_CHARS, LESSON_CHARS, RUBRIC_CHARS, TESTS_CHARS, Shortener, fence, shares
from tasks.scoring import SCORE, is_minimised
from tasks.testfiles import beside, shown_files
from tasks.types import CheckSpec, Job, LessonKind, Modality

ATTACHMENT = "attachment "
# Of a file; less of one says nothing, so its name alone is shown.
LEAST_CHARS = 200
FILES_FORM = """Answer with files. Write each file that you make or change whole, in a code block of its own, with its \
path in backticks on the line before:

`path/to/file`
```
the whole text of the file
```

To change a few lines of a long file, write its path and then these blocks instead. The lines to find must stand in \
the file exactly once:

<<<<<<< SEARCH
lines of the file
=======
the lines that replace them
>>>>>>> REPLACE

A unified diff does as well. Files that you leave out stay as they are."""


def prefix(job: Job, shortener: Shortener) -> str:
    """What all prompts of the job begin with."""
    return "\n\n".join(part for part in (statement(job, shortener), lessons(job, shortener)) if part)


def statement(job: Job, shortener: Shortener) -> str:
    """The problem with its attachments, the visible checks, and the form of answer."""
    parts = [
        *_problem(job, shortener),
        *_files(job, shortener),
        *_tests(job, shortener),
        *_schemas(job, shortener),
        *_rubrics(job, shortener),
    ]
    return "\n\n".join([*parts, *_answer_form(job)])


def problem_chars(job: Job) -> int:
    """The characters of the whole problem and its text attachments."""
    return sum(len(text) for _, text in _texts(job))


def lessons(job: Job, shortener: Shortener) -> str:
    """The lessons of earlier jobs, frozen with the job's first iteration."""
    titles = {LessonKind.SUCCESS: "This worked:", LessonKind.FAILURE: "This failed:"}
    room = shortener.in_prefix(LESSON_CHARS)
    parts = []
    for lesson in job.lessons or ():
        named = (("When", lesson.situation), ("Do", lesson.advice), ("Avoid", lesson.avoid))
        lines = "\n".join(f"- {name}: {shortener.shorten('lesson', text, room)}" for name, text in named if text)
        parts.append(f"{titles[lesson.kind]}\n{lines}")
    return "# What earlier jobs taught\n" + "\n".join(parts) if parts else ""


def rubric_of(check: CheckSpec) -> str:
    """What a `judge` check judges by, beside the problem itself; empty where the problem is all."""
    return next(iter(check.texts.values()), str(check.value)).strip()


def has_check(job: Job, kind: str) -> bool:
    """Whether one of the job's checks, held out or not, is of this kind."""
    return any(check.kind == kind for check in job.spec.checks)


def better(job: Job) -> str:
    """The goal of the job's score that is shown, else of any."""
    scores = sorted((check for check in job.spec.checks if check.kind == SCORE), key=lambda check: check.held_out)
    return "smaller" if scores and is_minimised(scores[0]) else "greater"


def _files(job: Job, shortener: Shortener) -> Iterator[str]:
    """The job's files: those that an answer may change first, then the others."""
    files = job.spec.files
    named = [*((name, text, "you may change it") for name, text in sorted(files.writable.items()))]
    named += [(name, text, "read-only") for name, text in sorted(files.read_only.items())]
    rooms = shares([len(text) for _, text, _ in named], shortener.in_prefix(FILES_CHARS))
    for (name, text, may), share in zip(named, rooms, strict=True):
        if share < min(len(text), LEAST_CHARS):
            shortener.shorten(f"file {name}", text, 0)
            yield f"File `{name}` ({may}), not shown"
        else:
            yield f"File `{name}` ({may}):\n{fence(shortener.shorten(f'file {name}', text, share), '')}"


def _tests(job: Job, shortener: Shortener) -> Iterator[str]:
    """The visible test files, and the names of what lies beside them."""
    room = _tests_room(job, shortener)
    for title, text in shown_files(job.spec.checks, "Your answer" if job.spec.files else "solution.py"):
        yield f"{title}:\n{fence(shortener.shorten(f'tests: {title}', text, room), 'python')}"
    if names := beside(job.spec.checks):
        yield f"The tests may read: {', '.join(names)}"


def _schemas(job: Job, shortener: Shortener) -> Iterator[str]:
    room = _tests_room(job, shortener)
    for check in _visible(job, "schema"):
        for name, text in sorted(check.texts.items()):
            yield f"The JSON must match this schema:\n{fence(shortener.shorten(f'schema {name}', text, room), 'json')}"


def _tests_room(job: Job, shortener: Shortener) -> int:
    return shortener.in_prefix(TESTS_CHARS) // max(1, len(list(shown_files(job.spec.checks))))


def _rubrics(job: Job, shortener: Shortener) -> Iterator[str]:
    rubrics = [(check.name, rubric) for check in _visible(job, "judge") if (rubric := rubric_of(check))]
    room = shortener.in_prefix(RUBRIC_CHARS) // max(1, len(rubrics))
    for name, rubric in rubrics:
        shown = shortener.shorten(f"rubric {name}", rubric, room)
        yield f"The answer will be judged by this rubric:\n{fence(shown, '')}"


def _visible(job: Job, kind: str) -> list[CheckSpec]:
    return [check for check in job.spec.checks if check.kind == kind and not check.held_out]


def _problem(job: Job, shortener: Shortener) -> Iterator[str]:
    """The problem's text, the names of its images and sounds in their order, and its text attachments."""
    texts = _texts(job)
    rooms = shares([len(text) for _, text in texts], shortener.cut.problem)
    (_, problem), *files = (
        (name, shortener.shorten(name, text, share)) for (name, text), share in zip(texts, rooms, strict=True)
    )
    yield f"# Problem: {job.spec.title}\n{problem}"
    media = [attachment.name for attachment in job.spec.attachments if attachment.modality is not Modality.TEXT]
    if media:
        yield f"Attached before this text, in this order: {', '.join(media)}"
    for name, text in files:
        yield f"Attached file {name.removeprefix(ATTACHMENT)}:\n{fence(text, '')}"


def _texts(job: Job) -> list[tuple[str, str]]:
    """The name and the text of each block that is the problem's own."""
    files = [a for a in job.spec.attachments if a.modality is Modality.TEXT]
    return [("problem", job.spec.problem.strip()), *((ATTACHMENT + a.name, job.texts[a.sha256]) for a in files)]


def _answer_form(job: Job) -> Iterator[str]:
    """The form of answer that the checks read; the kind of a held-out check shows in it, and nothing else."""
    if job.spec.files:
        yield f"{FILES_FORM} You may write: {', '.join(job.spec.files.patterns)}."
    elif has_check(job, "python"):
        yield "Write the whole solution.py in one Python code block."
    if has_check(job, "schema"):
        yield "Write the result in one JSON code block."
    if has_check(job, SCORE):
        yield f"A program measures a value of the answer: the {better(job)}, the better."
    if has_check(job, "answer"):
        yield "End with one line that holds only the final answer, in this form:\nANSWER: …"
