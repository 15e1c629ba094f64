"""A run of the operator's command: what it gets, what its end means, what is left of it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from tasks.errors import NotDelivered
from tests.receiver import SECRET, eventually
from workers.hooks.command import Command

BODY = '{"id": "evt_1", "title": "Überschlag; $(touch here) `touch here`"}'
# It starts a child in a session of its own, says both pids, and neither ends.
HANGS = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""


def command(home: Path, *argv: str, seconds: float = 10.0) -> Command:
    return Command(argv, seconds=seconds, home=home)


def test_the_event_comes_on_standard_input_word_for_word_and_no_shell_reads_it(tmp_path: Path) -> None:
    assert command(tmp_path, "sh", "-c", 'cat > got; echo "done $1"', "sh", "; touch here").send("evt_1", BODY) == (
        "exit 0 done ; touch here"
    )
    assert json.loads((tmp_path / "got").read_bytes()) == json.loads(BODY)
    assert not (tmp_path / "here").exists()


def test_one_that_reads_nothing_is_well_too(tmp_path: Path) -> None:
    assert command(tmp_path, "true").send("evt_1", BODY * 100_000) == "exit 0"


def test_another_exit_code_is_a_failure_with_what_it_wrote_last(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match=r"^the command exited 3: first, then the reason$") as caught:
        command(tmp_path, "sh", "-c", "echo first,; echo then the reason >&2; exit 3").send("evt_1", BODY)
    assert not caught.value.final


def test_one_that_hangs_is_killed_with_its_tree(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(NotDelivered, match="had not ended after 1 s, and was killed"):
        command(tmp_path, sys.executable, "-c", HANGS, str(tmp_path / "pids"), seconds=1).send("evt_1", BODY)
    assert time.monotonic() - begun < 10
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    eventually(
        lambda: (
            not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
        )
    )


def test_its_environment_has_none_of_the_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "REDRAFT_WEBHOOK_SECRET", "REDRAFT_WEBHOOK_URLS", "REDRAFT_WEBHOOK_SECRET_FILE"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("OF_THE_OPERATOR", "kept")
    command(tmp_path, "sh", "-c", "env > got").send("evt_1", BODY)
    got = (tmp_path / "got").read_text()
    assert SECRET not in got
    assert "OF_THE_OPERATOR=kept" in got


def test_one_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="the command"):
        command(tmp_path, str(tmp_path / "nothing")).send("evt_1", BODY)
