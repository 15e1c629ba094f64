"""The whole local stack as a person uses it, over a tiny endpoint instead of an engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.standin import recorded
from tests.standin.saying import serving
from workers.home import Home
from workers.http_client import request
from workers.local import stack as local
from workers.local.record import PartStatus
from workers.stackfile import read

pytestmark = pytest.mark.integration

PROBLEM = """---
title: The sum
checks:
  - python: visible.py
  - python: hidden.py
    held_out: true
budget: {iterations: 6}
---
Write a function add(a, b).
"""
VISIBLE = "from solution import add\n\ndef test_small():\n    assert add(1, 2) == 3\n"
HIDDEN = "from solution import add\n\ndef test_large():\n    assert add(10**9, 7) == 10**9 + 7\n"
WRONG = "```python\ndef add(a, b):\n    return a - b\n```"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"

KEY = "sk-only-for-the-worker"

Redraft = Callable[..., subprocess.CompletedProcess[str]]


def answer(prompt: str) -> str:
    """Wrong at first, right once it is shown why."""
    if "List" in prompt and "wrong" in prompt:
        return "- `a - b` subtracts"
    if "WHEN:" in prompt:
        return "WHEN: a function of two numbers\nDO: try it on small ones\nAVOID: the wrong sign"
    return RIGHT if "return a - b" in prompt else WRONG


def of_home(home: Path) -> list[psutil.Process]:
    """Every process whose environment names this home, or that works below it."""
    found = []
    for process in psutil.process_iter():
        try:
            named = process.environ().get("REDRAFT_HOME") == str(home) and process.pid != os.getpid()
            if named or any(str(home) in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def eventually(condition: Callable[[], bool], seconds: float = 40) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return condition()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    shutil.rmtree(Home(root=folder).postgres_folder().parent, ignore_errors=True)


@pytest.fixture
def redraft(home: Path) -> Iterator[Redraft]:
    environment = {**os.environ, "REDRAFT_HOME": str(home), "OPENAI_API_KEY": KEY, "REDRAFT_LOG_FORMAT": "json"}

    def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workers.cli.main", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=cwd,
            timeout=120,
            check=False,
        )

    yield run
    run("down")


@pytest.fixture
def tiny() -> Iterator[str]:
    with serving(answer) as url:
        yield url


def parts(home: Path) -> dict[str, PartStatus]:
    """As `redraft status` shows them, without a second's start of a program at every look."""
    return {part.name: part for part in local.status(Home(root=home))}


def assert_measured_and_logged(metrics: str, home: Path, job: int) -> None:
    """What Prometheus scrapes tells of the job, of each background task and of each part; the log names its turns."""

    def scraped() -> dict[tuple[str, ...], float]:
        samples = [one for family in text_string_to_metric_families(request(metrics)) for one in family.samples]
        return {(one.name, *(value for _, value in sorted(one.labels.items()))): one.value for one in samples}

    assert eventually(lambda: scraped().get(("redraft_job_events_total", "accepted")) == 1)
    of_worker = ("lease renewer", "events", "live text", "engine watch", "lane gate", "watchdog", "report")
    of_relay = ("relay", "outbox", "metric totals", "report")
    tasks = [*(("worker", task) for task in of_worker), *(("relay", task) for task in of_relay)]
    assert eventually(lambda: all(("redraft_background_task_age_seconds", *task) in scraped() for task in tasks))
    found = scraped()
    assert all(found["redraft_background_task_age_seconds", *task] < 120 for task in tasks)
    assert all(found["redraft_part_up", part] == 1 for part in ("postgres", "engine", "worker", "relay", "metrics"))
    assert found["redraft_engine_up", "tiny"] == 1
    assert found["redraft_iterations_total", "revise"] == 1
    assert found["redraft_tokens_total", "completion", "tiny"] > 0
    lines = [
        json.loads(line)
        for line in (home / "log" / "worker.log").read_text().splitlines()
        if "the turn goes on" in line
    ]
    assert {line["iteration"] for line in lines} == {1, 2}
    assert all(line["job"] == job and line["epoch"] >= 1 and line["task_id"] for line in lines)


def test_a_job_is_solved_a_killed_worker_replaced_and_down_leaves_nothing(
    redraft: Redraft, home: Path, tiny: str, tmp_path: Path
) -> None:
    for name, text in (("problem.md", PROBLEM), ("visible.py", VISIBLE), ("hidden.py", HIDDEN)):
        (tmp_path / name).write_text(text)
    up = redraft("up", "--detach", "--endpoint", tiny)
    assert up.returncode == 0, up.stderr
    shown = {part["name"]: part for part in json.loads(redraft("status", "--json").stdout)["parts"]}
    assert set(shown) == {"postgres", "valkey", "memory", "engine", "relay", "worker", "flower", "ui", "metrics"}
    assert all(part["health"] == "ok" for part in shown.values())
    assert all(part.health == "ok" for part in parts(home).values())

    again = redraft("up", "--endpoint", tiny)  # not detached, and still not the one that stops it
    assert (again.returncode, "runs already" in again.stderr) == (0, True)
    assert all(part.health == "ok" for part in parts(home).values())

    waited = redraft("submit", "problem.md", "--wait", "--timeout", "60", "--key", "k", cwd=tmp_path)
    assert waited.returncode == 0, waited.stderr
    job = redraft("submit", "problem.md", "--key", "k", cwd=tmp_path).stdout.strip()
    answered = json.loads(redraft("show", job, "--json").stdout)
    assert (answered["state"], answered["acceptance"], answered["iterations"]) == ("accepted", "verified", 2)
    assert "return a + b" in redraft("result", job).stdout
    history = [json.loads(line) for line in redraft("history", job, "--json").stdout.splitlines()]
    assert [row["operator"] for row in history] == ["draft", "revise"]
    assert [v["held_out"] for v in history[1]["verdicts"]] == [False, True]
    counted = json.loads(redraft("sql", "--json", "select count(*) as n from iteration_history").stdout)
    assert counted["n"] == 2
    assert_measured_and_logged(shown["metrics"]["address"], home, int(job))

    worker = parts(home)["worker"].pid
    os.kill(int(str(worker)), signal.SIGKILL)
    assert eventually(lambda: parts(home)["worker"].pid not in (None, worker))
    assert redraft("submit", "problem.md", "--wait", "--timeout", "60", cwd=tmp_path).returncode == 0

    assert redraft("down").returncode == 0
    assert of_home(home) == []
    assert json.loads(redraft("status", "--json").stdout) == {"parts": [], "circuits": [], "hooks": []}


@pytest.mark.slow  # test_banks.py and test_memory.py stand for it
def test_a_killed_memory_costs_no_job_and_comes_back_with_what_it_knew(
    redraft: Redraft, home: Path, tiny: str, tmp_path: Path
) -> None:
    for name, text in (("problem.md", PROBLEM), ("visible.py", VISIBLE), ("hidden.py", HIDDEN)):
        (tmp_path / name).write_text(text)
    assert redraft("up", "--detach", "--endpoint", tiny).returncode == 0

    def found() -> list[str]:
        return redraft("memory", "search", "add two numbers", "--json").stdout.splitlines()

    assert redraft("submit", "problem.md", "--wait", "--timeout", "60", cwd=tmp_path).returncode == 0
    assert eventually(lambda: len(found()) == 1)
    before = parts(home)["memory"]
    os.kill(int(str(before.pid)), signal.SIGKILL)
    assert redraft("submit", "problem.md", "--wait", "--timeout", "60", cwd=tmp_path).returncode == 0

    def back() -> bool:
        now = parts(home)["memory"]
        return now.health == "ok" and now.pid != before.pid

    assert eventually(back)
    assert parts(home)["memory"].port == before.port
    assert eventually(lambda: json.loads(redraft("memory", "show", "1", "--json").stdout)["seen"] == 2)
    assert len(found()) == 1


@pytest.mark.slow  # test_supervisor.py kills a supervisor
def test_nothing_outlives_a_killed_owner_and_the_next_up_goes_on(redraft: Redraft, home: Path, tiny: str) -> None:
    assert redraft("up", "--detach", "--endpoint", tiny).returncode == 0
    stack = read(home)
    assert stack is not None
    os.kill(stack.supervisor_pid, signal.SIGKILL)
    assert eventually(lambda: of_home(home) == []), of_home(home)
    assert redraft("up", "--detach", "--endpoint", tiny).returncode == 0
    assert all(part.health == "ok" for part in parts(home).values())


@pytest.mark.slow  # test_supervisor.py looks at the services of a stack
def test_every_port_is_loopback_and_no_secret_is_in_a_command_line(redraft: Redraft, home: Path, tiny: str) -> None:
    assert redraft("up", "--detach", "--endpoint", tiny).returncode == 0
    stack = read(home)
    assert stack is not None
    family = of_home(home)
    assert len(family) >= 4
    for process in family:
        for connection in process.net_connections():
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip == "127.0.0.1"
    secrets = [
        stack.flower_password,
        stack.memory_key,
        stack.ui_secret,
        *(url.split(":")[2].split("@")[0] for url in (stack.admin_url, stack.worker_url)),
    ]
    commands = " ".join(" ".join(process.cmdline()) for process in family)
    assert not any(secret in commands for secret in secrets)
    named = parts(home)
    without = ("flower", "relay", "ui")
    knows = {name: KEY in psutil.Process(int(str(named[name].pid))).environ().values() for name in without}
    assert knows == dict.fromkeys(without, False)
    assert (home / "run" / "stack.json").stat().st_mode & 0o077 == 0
    for path, headers, code in (("/", {}, "401"), ("/metrics", {}, "401"), ("/", {"Host": "attacker.example"}, "403")):
        with pytest.raises(urllib.error.HTTPError, match=code):
            urllib.request.urlopen(urllib.request.Request(stack.flower_url + path, headers=headers), timeout=5)
    link = redraft("ui").stdout.strip()
    with urllib.request.urlopen(link, timeout=5) as entered:
        cookie = entered.headers["Set-Cookie"].partition(";")[0]
    overview = urllib.request.Request(stack.ui_url, headers={"Cookie": cookie})
    with urllib.request.urlopen(overview, timeout=5) as shown:
        assert "Overview" in shown.read().decode()
    for address, headers, code in (
        (link, {}, "403"),
        (stack.ui_url, {}, "401"),
        (stack.ui_url, {"Host": "attacker.example", "Cookie": cookie}, "403"),
    ):
        with pytest.raises(urllib.error.HTTPError, match=code):
            urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=5)


@pytest.mark.slow  # test_stream_faults.py plays whole jobs over such answers
def test_up_and_status_say_in_one_line_that_answers_stand_in_the_field_for_thoughts(redraft: Redraft) -> None:
    with recorded.serving("reasoning_only") as server:
        up = redraft("up", "--detach", "--endpoint", server.url, "--context-tokens", "2048")
        assert up.returncode == 0, up.stderr
        shown, told = redraft("status"), json.loads(redraft("status", "--json").stdout)["parts"]
        detail = next(finding["detail"] for finding in findings(redraft) if finding["name"] == "engine")
    said = "it answers in the reasoning field only"
    for text in (up.stderr, shown.stderr):
        assert [line.count(said) for line in text.splitlines() if line.startswith("engine: ")] == [1], text
    warnings = {part["name"]: part["warning"] for part in told if part["warning"]}
    assert list(warnings) == ["engine"]
    assert warnings["engine"].startswith(said)
    assert "slots of 2048 tokens" in detail


def findings(redraft: Redraft) -> list[dict[str, str]]:
    """What `doctor` finds."""
    return json.loads(redraft("doctor", "--json").stdout)["checks"]  # type: ignore[no-any-return]


def test_an_endpoint_that_does_not_answer_ends_up_with_one_reason_and_leaves_nothing(
    redraft: Redraft, home: Path
) -> None:
    up = redraft("up", "--detach", "--endpoint", "http://127.0.0.1:9/v1")
    assert up.returncode == 1
    assert "worker" in up.stderr
    assert "refused" in up.stderr
    assert of_home(home) == []
