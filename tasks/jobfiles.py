"""The files of a job as one of its candidates leaves them: what its checks see, what a prompt shows, what is written at
the end. They follow from the texts of the candidate and of those that it revises, and from the job's files.

Pure; must not know the disk, the checks or the prompts.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from tasks.edits import EditError, apply_answer, left_out
from tasks.types import Candidate, CheckSpec, FileSet, Job, Verdict

# Of the verdict on a candidate whose files can't be read or applied; no check of a job has this name.
FILES_CHECK = "files"
NAMED = 10
_LANGUAGES = {"py": "python", "rs": "rust", "js": "javascript", "ts": "typescript", "h": "c", "hpp": "cpp", "cc": "cpp"}


def files_of(job: Job, candidate: Candidate) -> dict[str, str]:
    """The writable files of the job as the candidate leaves them, name → text. A revision changes those of the
    candidate that it revises, any other the job's own. Raises `EditError`."""
    return apply_answer(candidate.text, _before(job, candidate), job.spec.files.is_writable)


def checks_on(job: Job, candidate: Candidate) -> tuple[CheckSpec, ...]:
    """The job's checks as they see the candidate: with the read-only files and the candidate's beside their own, which
    go before both. Raises `EditError`."""
    files = job.spec.files
    if not files:
        return job.spec.checks
    written = files_of(job, candidate)
    for check in job.spec.checks:
        _require_no_shadow(check, [name for name in written if name not in files.writable])
    return tuple(_beside(check, files.read_only, written) for check in job.spec.checks)


def told(job: Job, candidate: Candidate, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts on a candidate whose files were made; those on which it failed say, too, which files it wrote in
    vain."""
    if not job.spec.files:
        return tuple(verdicts)
    names = left_out(candidate.text, _before(job, candidate), job.spec.files.is_writable)
    if not names:
        return tuple(verdicts)
    note = f"Not changed, for it may not be: {', '.join(names[:NAMED])}{' and more' if len(names) > NAMED else ''}.\n"
    return tuple(
        verdict
        if verdict.passed or verdict.held_out
        else dataclasses.replace(verdict, feedback=note + verdict.feedback)
        for verdict in verdicts
    )


def refusal(error: EditError) -> Verdict:
    """The verdict on a candidate whose files can't be made; it is shown to the model."""
    return Verdict(check=FILES_CHECK, kind=FILES_CHECK, passed=False, score=0.0, feedback=str(error))


def shown_text(job: Job, candidate: Candidate) -> str:
    """What a candidate is shown as: its text; in a job with files, each file that differs from the job's, whole under
    its name. Its text, too, where its files can't be made."""
    if not job.spec.files:
        return candidate.text
    try:
        after = files_of(job, candidate)
    except EditError:
        return candidate.text
    blocks = [file_block(name, after.get(name)) for name in changed(job.spec.files, after)]
    return "\n\n".join(blocks) or candidate.text


def changed(files: FileSet, after: Mapping[str, str]) -> Sequence[str]:
    """The names of the files that are made, deleted or have another text than the job's, sorted."""
    names = sorted({*files.writable, *after})
    return [name for name in names if files.writable.get(name) != after.get(name)]


def file_block(name: str, text: str | None) -> str:
    """A file as an answer writes it: its name, then its text in a fenced block; a diff where it is deleted."""
    if text is None:
        return f"```diff\n--- a/{name}\n+++ /dev/null\n```"
    suffix = name.rpartition(".")[2] if "." in name else ""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    ticks, end = "`" * (longest + 1), "" if not text or text.endswith("\n") else "\n"
    return f"`{name}`\n{ticks}{_LANGUAGES.get(suffix, suffix)}\n{text}{end}{ticks}"


def _before(job: Job, candidate: Candidate) -> Mapping[str, str]:
    """The files that a candidate changes. One whose own files can't be made left those as they were."""
    known = {one.ref: one for iteration in job.iterations for one in iteration.candidates}
    lineage: list[Candidate] = []
    parent = candidate.parent
    while parent is not None and parent in known:
        lineage.append(known[parent])
        parent = lineage[-1].parent
    files: Mapping[str, str] = job.spec.files.writable
    for ancestor in reversed(lineage):
        try:
            files = apply_answer(ancestor.text, files, job.spec.files.is_writable)
        except EditError:
            continue
    return files


def _require_no_shadow(check: CheckSpec, made: Sequence[str]) -> None:
    """Raises `EditError` where a file that the candidate made would be imported by a check's program in the place of a
    module of Python's own: such a program looks into its own folder first."""
    folders = {PurePosixPath(name).parent for name in check.files if name.endswith(".py")}
    for name in (name for name in made if name.endswith(".py")):
        for folder in folders & set(PurePosixPath(name).parents):
            module = PurePosixPath(name).relative_to(folder).parts[0].removesuffix(".py")
            if module in sys.stdlib_module_names:
                raise EditError(f"{name!r} has the name of the module {module} of Python: give it another.")


def _beside(check: CheckSpec, read_only: Mapping[str, str], written: Mapping[str, str]) -> CheckSpec:
    own, beside = check.files, {**read_only, **written}
    return dataclasses.replace(
        check,
        files={**own, **{name: text for name, text in beside.items() if name not in own}},
        written=tuple(name for name in written if name not in own),
        read_only=tuple(read_only),
    )
