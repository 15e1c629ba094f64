"""The supervisor of a stack and the commands around it, over Postgres and Valkey alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from workers.home import Home
from workers.local import stack as local
from workers.local.record import PartStatus, holder
from workers.stackfile import StackFile, read

pytestmark = pytest.mark.integration

# `up` as the command does it, with a supervisor of the two services and nothing on them.
UP = """
import sys
from pathlib import Path
from tasks.errors import PartFailed
from workers.local import stack
from workers.home import Home
SUPERVISOR = (
    "import sys; from tasks.locations import default_home; from workers.home import Home; "
    "from workers.local.supervisor import own; sys.exit(own(Home(root=default_home()), lambda home, stack: [], 5.0))"
)
try:
    argv = (sys.executable, "-c", SUPERVISOR)
    stack.start(Home(root=Path(sys.argv[1])), {}, print, attached=False, supervisor_argv=argv)
except PartFailed as error:
    sys.exit(str(error))
"""


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Callable[[str], Home]]:
    made: list[Home] = []

    def make(name: str) -> Home:
        made.append(Home(root=tmp_path / name))
        return made[-1]

    yield make
    for home in made:
        local.stop(home)
        shutil.rmtree(home.postgres_folder().parent if os.geteuid() == 0 else home.root, ignore_errors=True)


@pytest.fixture
def home(homes: Callable[[str], Home]) -> Home:
    return homes("home")


def up(home: Home) -> StackFile:
    process = up_beside(home)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    stack = read(home.root)
    assert stack is not None
    return stack


def up_beside(home: Home, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    argv = [sys.executable, "-uc", UP, str(home.root)]
    return subprocess.Popen(argv, stdout=stdout, stderr=subprocess.PIPE, text=True)


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def part(home: Home, name: str) -> PartStatus | None:
    return next((part for part in local.status(home) if part.name == name), None)


def of(home: Home) -> list[psutil.Process]:
    """The processes that work below the home or name it: all parts do either."""
    places = (str(home.root), str(home.postgres_folder()))
    found = []
    for process in psutil.process_iter():
        try:
            words = [process.cwd(), *process.cmdline()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(word.startswith(places) for word in words):
            found.append(process)
    return found


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_killed_service_is_started_again_on_its_port(home: Home, name: str) -> None:
    up(home)
    before = part(home, name)
    assert before is not None
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)

    def back() -> bool:
        now = part(home, name)
        return now is not None and now.health == "ok" and now.pid != before.pid

    assert eventually(back)
    after = part(home, name)
    assert after is not None
    assert after.port == before.port


@pytest.mark.slow  # a killed service stands for it
def test_postgres_that_was_told_to_end_and_waits_for_its_sessions_is_started_again(home: Home) -> None:
    stack = up(home)
    before = part(home, "postgres")
    assert before is not None
    assert before.pid is not None
    with psycopg.connect(stack.worker_url.replace("+psycopg", "", 1)):  # TERM waits for it, and takes no other
        os.kill(before.pid, signal.SIGTERM)
        assert eventually(lambda: (now := part(home, "postgres")) is not None and now.pid not in (None, before.pid))
    assert eventually(lambda: (now := part(home, "postgres")) is not None and now.health == "ok")


@pytest.mark.slow  # a killed service stands for it
def test_a_service_that_hangs_is_started_again(home: Home) -> None:
    up(home)
    before = part(home, "valkey")
    assert before is not None
    assert before.pid is not None
    os.kill(before.pid, signal.SIGSTOP)

    def back() -> bool:
        now = part(home, "valkey")
        return now is not None and now.health == "ok" and now.pid != before.pid

    assert eventually(back)


@pytest.mark.slow  # a killed service stands for it
def test_a_service_that_cannot_come_back_yet_does_not_take_the_stack_along(home: Home) -> None:
    up(home)
    before, supervisor = part(home, "valkey"), holder(home)
    assert before is not None
    assert supervisor is not None
    assert before.pid is not None
    appended = home.root / "valkey" / "appendonlydir"
    shutil.rmtree(appended)
    appended.write_text("in the way")
    os.kill(before.pid, signal.SIGKILL)
    assert eventually(lambda: (home.log / "supervisor.log").read_text().count("Valkey did not start") >= 2)
    assert supervisor.alive
    assert (now := part(home, "postgres")) is not None
    assert now.health == "ok"
    appended.unlink()
    assert eventually(lambda: (now := part(home, "valkey")) is not None and now.health == "ok")


def test_a_second_up_is_harmless_and_two_at_once_make_one_stack(home: Home) -> None:
    both = [up_beside(home) for _ in range(2)]
    errors = [process.communicate(timeout=90)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    first = read(home.root)
    assert up(home) == first
    assert sum("-D" in process.cmdline() for process in of(home)) == 1


@pytest.mark.slow  # test_demo.py stops a stack that is starting
def test_down_ends_a_stack_that_is_only_just_starting(home: Home) -> None:
    starting = up_beside(home)
    assert eventually(lambda: holder(home) is not None)
    local.stop(home)
    assert "stopped" in starting.communicate(timeout=60)[1]
    assert starting.returncode != 0
    assert read(home.root) is None
    assert of(home) == []


@pytest.mark.slow  # two ups at once stand for it
def test_whoever_waits_for_another_ups_stack_hears_that_it_was_stopped(home: Home) -> None:
    first = up_beside(home)
    assert eventually(lambda: holder(home) is not None)
    second = up_beside(home, stdout=subprocess.PIPE)
    assert second.stdout is not None
    assert second.stdout.readline().startswith("waiting for")
    # A supervisor that it may have started by then ends, as the home is taken.
    assert eventually(lambda: psutil.Process(second.pid).children() == [])
    local.stop(home)
    for process in (first, second):
        assert "stopped" in process.communicate(timeout=60)[1]
        assert process.returncode != 0
    assert of(home) == []


def test_a_killed_supervisor_leaves_nothing_and_the_next_up_goes_on(home: Home) -> None:
    supervisor = up(home).supervisor_pid
    os.kill(supervisor, signal.SIGKILL)
    assert eventually(lambda: of(home) == []), of(home)
    assert local.status(home) == []
    assert up(home).supervisor_pid != supervisor


@pytest.mark.slow  # other tests run stacks side by side
def test_two_homes_are_two_stacks(homes: Callable[[str], Home]) -> None:
    one, other = homes("one"), homes("other")
    assert up(one).admin_url != up(other).admin_url
    local.stop(one)
    assert of(one) == []
    assert all(part.health == "ok" for part in local.status(other))


def test_nothing_is_secret_in_command_lines_or_logs_and_down_leaves_nothing(home: Home) -> None:
    stack = up(home)
    words = [word for process in of(home) for word in process.cmdline()]
    words += [log.read_text(errors="replace") for log in home.log.iterdir()]
    urls = (stack.admin_url, stack.worker_url, stack.user_url, stack.broker_url)
    passwords = [url.split(":")[2].split("@")[0] for url in urls]
    assert len(set(passwords)) == 4
    assert not any(password in word for password in (*passwords, stack.flower_password) for word in words)
    local.stop(home)
    assert of(home) == []
    local.stop(home)  # again is harmless


def test_ctrl_c_ends_a_supervisor_that_has_hardly_begun(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds no lock yet, so that whoever stops the stack finds none."""
    begun: list[int] = []
    spawn = local._spawn_supervisor

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        child = spawn(*arguments, **options)
        begun.append(child.pid)
        return child

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "_spawn_supervisor", noted)
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        local.start(home, {}, print, attached=False, supervisor_argv=("sleep", "60"))
    assert [psutil.pid_exists(pid) for pid in begun] == [False]
