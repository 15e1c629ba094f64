"""`redraft ui`: the link that it prints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.settings import load_settings
from workers.cli.main import run
from workers.process import Recorded
from workers.stackfile import StackFile, write
from workers.ui.links import LinkKeys


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home."""
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path))
    monkeypatch.delenv("REDRAFT_DATABASE_URL", raising=False)
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def stack(home: Path) -> None:
    """A stack whose supervisor is this process."""
    me = Recorded.of(os.getpid())
    names = ("admin_url", "worker_url", "user_url", "broker_url", "flower_url", "flower_user", "flower_password",
             "memory_url", "memory_key")  # fmt: skip
    (home / "run").mkdir()
    write(
        home,
        StackFile(
            **dict.fromkeys(names, ""), ui_url="http://127.0.0.1:4711", ui_secret="hush", supervisor_pid=me.pid,
            supervisor_started=me.started,
        ),  # type: ignore[arg-type]
    )  # fmt: skip


def test_without_a_stack_it_says_what_to_do(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ui"]) == 1
    assert "redraft up" in capsys.readouterr().err


def test_each_link_is_another_and_opens_the_page_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack(home)
    links = LinkKeys("hush")
    assert run(["ui"]) == 0
    assert run(["ui", "--json"]) == 0
    first, document = capsys.readouterr().out.split("\n", 1)
    second = json.loads(document)["link"]
    for link in (first, second):
        assert link.startswith("http://127.0.0.1:4711/enter?key=")
        assert links.use(link.partition("=")[2])
        assert not links.use(link.partition("=")[2])
