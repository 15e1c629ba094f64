from __future__ import annotations

import contextlib
import io
import os

from workers.cli.progress import Bars


def everything(terminal: int) -> str:
    """What the other side wrote, to its end: the kernel hands it on in pieces."""
    pieces: list[bytes] = []
    with contextlib.suppress(OSError):  # the other side is closed
        while piece := os.read(terminal, 4096):
            pieces.append(piece)
    os.close(terminal)
    return b"".join(pieces).decode()


def test_a_terminal_sees_how_far_each_step_is() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, Bars(terminal) as shown:
        shown.tell("checked", 400, 400)
        shown.tell("stored", 100, 400)
    seen = everything(ours)
    assert "checked" in seen
    assert "100/400" in seen


def test_a_pipe_and_a_handful_of_jobs_see_nothing() -> None:
    pipe = io.StringIO()
    with Bars(pipe) as shown:
        shown.tell("checked", 400, 400)
    assert pipe.getvalue() == ""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, Bars(terminal) as shown:
        shown.tell("checked", 3, 3)
        terminal.write("end")
    assert everything(ours) == "end"
