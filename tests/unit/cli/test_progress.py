from __future__ import annotations

import io
import os

from workers.cli.progress import Bars


def test_a_terminal_sees_how_far_each_step_is() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, Bars(terminal) as bars:
        bars.update("checked", 400, 400)
        bars.update("stored", 100, 400)
    seen = os.read(ours, 100_000).decode()
    os.close(ours)
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
    assert os.read(ours, 100_000) == b"end"
    os.close(ours)
