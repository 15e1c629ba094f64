"""What `clean` ends of a stack whose supervisor is gone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

from workers.engine.record import EngineRecord, write_record
from workers.home import Home
from workers.local.record import clean
from workers.process import Recorded

pytestmark = pytest.mark.integration


def test_the_engines_children_are_ended_even_where_its_server_was_killed(tmp_path: Path) -> None:
    """vLLM's EngineCore outlives a killed API server and is no descendant of it any more."""
    home = Home(root=tmp_path / "home")
    home.make()
    server = subprocess.Popen(["sh", "-c", "sleep 300 & wait"], start_new_session=True)
    core = None
    try:
        while core is None:
            core = next(iter(psutil.Process(server.pid).children()), None)
        leader = Recorded.of(server.pid)
        write_record(
            home,
            EngineRecord(
                pid=leader.pid, start_time=leader.started, port=1, url="", profile="p", model="m", argv_hash="h"
            ),
        )
        server.kill()
        server.wait()
        assert core.is_running()
        clean(home)
        assert not core.is_running() or core.status() == psutil.STATUS_ZOMBIE
        assert not (home.run / "engine.json").exists()
    finally:
        server.kill()
        if core is not None and core.is_running():
            core.kill()
