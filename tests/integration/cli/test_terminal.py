"""Live views on a terminal: Ctrl-C ends them with 130 and nothing but their last words, and gives the terminal back."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec
from tests.terminal import CTRL_C, Terminal, terminal

pytestmark = pytest.mark.integration
SPEC = JobSpec(title="Merge slots", problem="p", checks=(CheckSpec(name="answer", kind="answer", value=42),))
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
Open = Callable[[str, int], Any]


@pytest.fixture
def opened(urls: Any, ada: Database, tmp_path: Path) -> Open:
    """Runs `redraft` as Ada, who has one waiting job, and then says its exit code and how the terminal is set."""
    submit_jobs(ada, [SPEC])
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "REDRAFT_HOME": str(tmp_path / "home"),
        "REDRAFT_DATABASE_URL": urls.ada,
    }

    @contextmanager
    def run(arguments: str, columns: int) -> Iterator[Terminal]:
        program = shlex.join([sys.executable, "-m", "workers.cli.main"])
        script = f"trap : INT; {program} {arguments}; echo ended with $?; stty -a; echo bye"
        with terminal(["/bin/sh", "-c", script], environment, columns=columns) as made:
            yield made

    return run


def ended(shown: Terminal) -> str:
    """What it said at its end; the terminal must be as it was."""
    shown.until("bye")
    words, _, settings = shown.text.partition("ended with ")
    assert {"echo", "icanon", "isig"} <= set(settings.split())
    assert "Traceback" not in shown.text
    assert "Error" not in words
    assert shown.shown.rfind(SHOW_CURSOR) >= shown.shown.rfind(HIDE_CURSOR)
    assert shown.shown.rfind(FIRST_SCREEN) >= shown.shown.rfind(OTHER_SCREEN)
    return settings.split()[0]


@pytest.mark.parametrize("columns", [80, 120])
def test_ctrl_c_leaves_watch_and_gives_the_terminal_back(opened: Open, columns: int) -> None:
    with opened("watch", columns) as shown:
        shown.until("Merge slots")
        shown.send(CTRL_C)
        assert ended(shown) == "130"


def test_q_leaves_watch(opened: Open) -> None:
    with opened("watch", 80) as shown:
        shown.until("Merge slots")
        shown.send("q")
        assert ended(shown) == "0"


@pytest.mark.parametrize(("command", "first"), [("logs -f 1", "submitted"), ("logs -f 1 --json", '"event"')])
def test_ctrl_c_leaves_the_log(opened: Open, command: str, first: str) -> None:
    with opened(command, 80) as shown:
        shown.until(first)
        shown.send(CTRL_C)
        assert ended(shown) == "130"


def test_ctrl_c_leaves_a_wait(opened: Open, admin: Any) -> None:
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'cli' AND query LIKE 'LISTEN%'"
    with opened("wait 1", 80) as shown:
        deadline = time.monotonic() + 60
        while admin.execute(waits).fetchone() == (0,):
            assert time.monotonic() < deadline, shown.text
            time.sleep(0.05)
        shown.send(CTRL_C)
        assert ended(shown) == "130"
