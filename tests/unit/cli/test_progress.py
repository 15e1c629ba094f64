from __future__ import annotations

import contextlib
import io
import os

from workers.cli.progress import Bars


def written(terminal: int) -> str:
    """All that was written to a terminal whose other side is closed."""
    text = b""
    with contextlib.suppress(OSError):  # EIO at its end
        while part := os.read(terminal, 100_000):
            text += part
    os.close(terminal)
    return text.decode()


def test_a_terminal_sees_how_far_each_step_is() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, Bars(terminal) as bars:
        bars.update("checked", 400, 400)
        bars.update("stored", 100, 400)
    seen = written(ours)
    assert "checked" in seen
    assert "100/400" in seen


def test_a_pipe_and_a_handful_of_jobs_see_nothing() -> None:
    pipe = io.StringIO()
    with Bars(pipe) as bars:
        bars.update("checked", 400, 400)
    assert pipe.getvalue() == ""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, Bars(terminal) as bars:
        bars.update("checked", 3, 3)
        terminal.write("end")
    assert written(ours) == "end"
