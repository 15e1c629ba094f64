"""What to type after the demo, as it can be typed in the reader's shell. Knows no job but its number."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from workers.packaged import ops


def next_steps(job: int, started_as: str) -> list[str]:
    """Four lines, each with a command that works as it stands; `job` is one whose history is worth a look, `started_as`
    the path by which this program was started."""
    redraft = program(started_as)
    example = os.path.relpath(ops("examples") / "code.md")
    steps = (
        ("submit a problem", f"{redraft} submit {example} --wait"),
        ("see how one was solved", f"{redraft} history {job}"),
        ("follow what runs", f"{redraft} watch"),
        ("stop everything", f"{redraft} down"),
    )
    width = max(len(purpose) for purpose, _ in steps)
    return [f"{purpose:<{width}}  {command}" for purpose, command in steps]


def program(started_as: str) -> str:
    """How `redraft` is typed here: by its name where the shell would find this very file, else by its path."""
    path, found = Path(started_as), shutil.which("redraft")
    if path.name != "redraft" or (found and Path(found).resolve() == path.resolve()):
        return "redraft"
    return os.path.relpath(path)
