"""Hooks told by a real relay: killed between the sending and its record, a receiver that is away and comes back, the
receiver of the documentation, a command. And what no log holds."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as Standard

from tasks.errors import NotDelivered
from tasks.store import hooks, lifecycle
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, HookEvent, JobSpec
from tests.integration.test_background import process
from tests.pages import DOCS, blocks
from tests.receiver import SECRET, TOKEN, Receiver, eventually, receiving
from workers.home import Home, free_port
from workers.hooks.webhook import Webhook

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(root=tmp_path / "home")
    home.make()
    return home


@pytest.fixture(autouse=True)
def services(fleet_url: str, valkey_url: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the relay finds them, and whom it tells."""
    for name, value in {
        "DATABASE_URL": fleet_url,
        "BROKER_URL": valkey_url,
        "HOME": str(home.root),
        "WEBHOOK_SECRET": SECRET,
        "PAGE_URL": "https://redraft.example.org",
    }.items():
        monkeypatch.setenv(f"REDRAFT_{name}", value)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def cancelled(user: Database, fleet: Database) -> int:
    """A job whose end is told, once the relay has said to whom."""
    eventually(lambda: hooks.hook_rows(fleet))
    check_private = "nobody may read this"
    job = submit_jobs(user, [JobSpec(title="t", problem=check_private, checks=(CHECK,))])[0].job
    lifecycle.request_cancel(user, job)
    return job


def delivered(fleet: Database) -> int:
    return sum(row.delivered for row in hooks.hook_rows(fleet))


def test_a_relay_that_is_killed_before_it_has_recorded_what_it_sent_sends_it_again(
    user: Database, fleet: Database, home: Home, receiver: Receiver
) -> None:
    with process(home, "relay", REDRAFT_WEBHOOK_URLS=receiver.url, REDRAFT_CRASH_AT="delivered") as relay:
        job = cancelled(user, fleet)
        assert relay.wait(60) == -signal.SIGKILL
    assert delivered(fleet) == 0
    with process(home, "relay", REDRAFT_WEBHOOK_URLS=receiver.url):
        eventually(lambda: delivered(fleet) == 1)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == first.event["id"]
    assert first.body == second.body
    told = Standard(SECRET).verify(second.body, dict(second.headers))
    assert (told["type"], told["data"]["job"]) == ("job.cancelled", job)
    assert told["data"]["page"] == f"https://redraft.example.org/jobs/{job}"
    assert b"nobody may read this" not in second.body


def test_a_receiver_that_fails_and_is_away_is_told_when_it_is_back_and_no_log_holds_a_secret(
    user: Database, fleet: Database, home: Home, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.statuses = [500, 302]
    away = f"http://127.0.0.1:{free_port()}/{TOKEN}"
    with process(home, "relay", REDRAFT_WEBHOOK_URLS=f"{receiver.url} {away}"):
        cancelled(user, fleet)
        for number in (1, 2):
            eventually(lambda number=number: len(receiver.requests) >= number)  # type: ignore[misc]
            eventually(lambda: [row.trouble for row in hooks.hook_rows(fleet) if row.trouble])
            eventually(lambda number=number: hooks.retry(fleet) and len(receiver.requests) > number)  # type: ignore[misc]
        eventually(lambda: delivered(fleet) == 1)
        trouble = [row.trouble for row in hooks.hook_rows(fleet) if row.trouble]
    assert len(trouble) == 1
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    log = capfd.readouterr().out + (home.log / "process.log").read_text()
    assert "500 Internal Server Error" in log
    assert "redirects are not followed" in log
    for secret in (TOKEN, SECRET, SECRET.removeprefix("whsec_")):
        assert secret not in log
        assert secret not in "".join(trouble)


def test_a_command_is_told_too(user: Database, fleet: Database, home: Home, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with process(home, "relay", REDRAFT_HOOK_COMMAND=json.dumps(["sh", "-c", f"cat >> {told}"])):
        job = cancelled(user, fleet)
        with fleet.begin() as connection:
            hooks.tell(connection, HookEvent.ENGINE_DOWN, {"host": "gpu-1", "reason": "out of memory"})
        eventually(lambda: delivered(fleet) == 2)
    events = json.loads("[" + told.read_text().replace("}{", "},{") + "]")
    assert [event["type"] for event in events] == ["job.cancelled", "engine.down"]
    assert [events[0]["data"]["job"], events[1]["data"]["reason"]] == [job, "out of memory"]


def test_the_receiver_of_the_documentation_verifies_what_it_is_sent_and_drops_doubles(tmp_path: Path) -> None:
    (example,) = blocks(DOCS / "webhooks.md", "python")
    (tmp_path / "receiver.py").write_text(example)
    port, seen = free_port(), tmp_path / "seen.db"
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET, "SEEN": str(seen)}
    argv = [sys.executable, "receiver.py", str(port)]
    with (tmp_path / "out").open("wb") as out:
        example_process = subprocess.Popen(argv, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.DEVNULL)
    try:
        hook = Webhook("docs", f"http://127.0.0.1:{port}/", (SECRET,), seconds=5)
        bodies = [json.dumps({"id": f"evt_{n}", "type": "hook.test", "data": {"n": n}}) for n in (1, 2)]

        def sends() -> bool:
            try:
                return hook.send("evt_1", bodies[0]) == "204 No Content"
            except NotDelivered:
                return False

        eventually(sends)
        hook.send("evt_1", bodies[0])
        hook.send("evt_2", bodies[1])
        other = Webhook("docs", f"http://127.0.0.1:{port}/", ("whsec_" + "b3RoZXI" * 5 + "=",), seconds=5)
        with pytest.raises(NotDelivered, match="401 Unauthorized"):
            other.send("evt_3", bodies[1])
    finally:
        example_process.kill()
        example_process.wait()
    assert (tmp_path / "out").read_text().splitlines() == ['hook.test {"n": 1}', 'hook.test {"n": 2}']
    with sqlite3.connect(seen) as database:
        assert database.execute("SELECT id FROM seen ORDER BY id").fetchall() == [("evt_1",), ("evt_2",)]
    database.close()


def test_a_hook_that_can_not_be_keeps_the_relay_from_starting_and_says_why(home: Home) -> None:
    with process(home, "relay", REDRAFT_WEBHOOK_URLS=f"ftp://host/{TOKEN}") as relay:
        assert relay.wait(60) == 2
    said = (home.log / "process.log").read_text()
    assert "setting webhook_urls: '(not shown)' is not allowed" in said
    assert TOKEN not in said
