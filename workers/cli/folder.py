"""The files of a job's candidates, for `redraft result -o` and `redraft diff`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import InvalidInput

if TYPE_CHECKING:
    from tasks.types import Candidate, Job


def write(job: Job, candidate: Candidate, folder: Path) -> Sequence[str]:
    """Writes the files of a candidate below `folder`, and the read-only ones that are not there. Returns the names of
    those that the candidate changed, deleted ones included, which are left where they are.

    Raises `EditError` where its files can't be made, `InvalidInput` where `folder` can't hold them; then none is
    written.
    """
    from tasks.jobfiles import changed, files_of

    files = files_of(job, candidate)
    beside = {name: text for name, text in job.spec.files.read_only.items() if not (folder / name).exists()}
    targets = {_target(folder, name): text for name, text in {**beside, **files}.items()}
    for path, text in targets.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        except OSError as error:
            raise InvalidInput("-o", folder, f"a folder that can be written to ({error.strerror}: {path})") from None
    return changed(job.spec.files, files)


def files_at(job: Job, iteration: int, text: str | None) -> Mapping[str, str]:
    """The files of the candidate of an iteration that has this text; of the job itself where they can't be made."""
    from tasks.edits import EditError
    from tasks.jobfiles import files_of

    candidates = (one for past in job.iterations if past.number == iteration for one in past.candidates)
    candidate = next((one for one in candidates if one.text == text), None)
    try:
        return job.spec.files.writable if candidate is None else files_of(job, candidate)
    except EditError:
        return job.spec.files.writable


def unified(old: Mapping[str, str], new: Mapping[str, str], old_label: str, new_label: str) -> str:
    """A unified diff, file by file; empty where all are equal."""
    return "\n".join(line for name in sorted({*old, *new}) for line in _file_diff(name, old, new, old_label, new_label))


def _file_diff(
    name: str, old: Mapping[str, str], new: Mapping[str, str], old_label: str, new_label: str
) -> Iterator[str]:
    before, after = old.get(name), new.get(name)
    if before == after:
        return
    yield from difflib.unified_diff(
        (before or "").splitlines(),
        (after or "").splitlines(),
        fromfile="/dev/null" if before is None else f"a/{name}",
        tofile="/dev/null" if after is None else f"b/{name}",
        fromfiledate="" if before is None else old_label,
        tofiledate="" if after is None else new_label,
        lineterm="",
    )


def _target(folder: Path, name: str) -> Path:
    """Where a file is written. Raises `InvalidInput` where a link on its way leads elsewhere, or a folder stands
    there."""
    path = folder / name
    inside = [path, *path.parents][: len(Path(name).parts)]
    link = next((part for part in inside if part.is_symlink()), None)
    if link is not None:
        raise InvalidInput("-o", folder, f"a folder without links on the way to the files ({link} is one)")
    if path.is_dir():
        raise InvalidInput("-o", folder, f"a folder in which {name} is no folder")
    return path
