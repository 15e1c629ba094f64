from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from workers.engine.record import (
    MARK,
    EngineRecord,
    end_recorded,
    end_session,
    members,
    read_record,
    strays,
    write_record,
)
from workers.home import Home
from workers.process import Recorded

# A leader with a child that ignores TERM: as an EngineCore that hangs.
FAMILY = "(trap '' TERM; while :; do sleep 1; done) & echo ready; wait"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(root=tmp_path / "home")
    made.make()
    return made


@pytest.fixture
def family(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """The leader of a session of two and more, marked as an engine of `home`."""
    leader = subprocess.Popen(
        ["sh", "-c", FAMILY],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, MARK: str(home.root)},
    )
    assert leader.stdout is not None
    assert leader.stdout.readline() == b"ready\n"
    recorded = Recorded.of(leader.pid)
    yield leader
    end_session(recorded, 0.1)
    leader.stdout.close()
    leader.wait()


def record(leader: subprocess.Popen[bytes]) -> EngineRecord:
    started = psutil.Process(leader.pid).create_time()
    return EngineRecord(
        pid=leader.pid, start_time=started, port=1, url="http://127.0.0.1:1/v1", profile="p", model="m", argv_hash="h"
    )


def test_a_record_is_read_as_it_was_written(home: Home, family: subprocess.Popen[bytes]) -> None:
    assert read_record(home) is None
    write_record(home, record(family))
    assert read_record(home) == record(family)
    (home.run / "engine.json").write_text("{")
    assert read_record(home) is None


def test_a_session_is_ended_with_those_who_ignore_term(family: subprocess.Popen[bytes]) -> None:
    leader = Recorded.of(family.pid)
    assert len(members(leader)) >= 2
    end_session(leader, 0.2)
    assert members(leader) == []


def test_those_whose_leader_was_killed_are_ended_too(home: Home, family: subprocess.Popen[bytes]) -> None:
    write_record(home, record(family))
    leader = Recorded.of(family.pid)
    family.kill()
    family.wait()
    assert members(leader)
    end_recorded(home, 0.2)
    assert members(leader) == []
    assert read_record(home) is None


def test_an_engine_that_was_never_written_down_is_found_by_its_mark(
    home: Home, family: subprocess.Popen[bytes]
) -> None:
    assert strays(Home(root=home.root / "other")) == []
    assert [stray.pid for stray in strays(home)] == [family.pid]
    family.kill()
    family.wait()
    assert [stray.pid for stray in strays(home)] == [family.pid]
    end_recorded(home, 0.2)
    assert strays(home) == []


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(family: subprocess.Popen[bytes]) -> None:
    somebody = Recorded(pid=family.pid, started=Recorded.of(family.pid).started - 100)
    end_session(somebody, 0.2)
    assert family.poll() is None
