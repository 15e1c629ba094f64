"""`redraft hooks`, and what `status` and `doctor` say of those who are told of events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasks.settings import load_settings
from tasks.store import hooks
from tasks.store.session import Database
from tasks.types import HookEvent
from tests.integration.cli.conftest import Urls
from tests.receiver import SECRET, TOKEN, Receiver, receiving

pytestmark = pytest.mark.integration
Redraft = Callable[..., Any]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def operator(redraft: Redraft, urls: Urls, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Redraft:
    """`redraft` with a login that may write for every job, and a webhook in its settings."""
    monkeypatch.setenv("REDRAFT_DATABASE_URL", urls.admin)
    monkeypatch.setenv("REDRAFT_WEBHOOK_URLS", receiver.url)
    monkeypatch.setenv("REDRAFT_WEBHOOK_SECRET", SECRET)
    load_settings.cache_clear()
    return redraft


@pytest.fixture
def given_up(urls: Urls, admin: Any) -> str:
    """A hook of which one event was given up."""
    admin.execute("TRUNCATE hooks")
    with Database(urls.admin, pool=1) as database:
        hooks.register(database, {"ops": tuple(HookEvent)})
        with database.begin() as connection:
            hooks.tell(connection, HookEvent.ENGINE_DOWN, {"host": "gpu-1"})
    admin.execute("UPDATE outbox SET given_up_at = now(), attempts = 24, last_error = '500 Internal Server Error'")
    return "ops"


def test_a_test_is_sent_at_once_and_its_answer_shown(operator: Redraft, receiver: Receiver) -> None:
    receiver.text = "welcome"
    said = operator("hooks", "test")
    assert said.code == 0
    assert said.out.startswith("127.0.0.1-")
    assert said.out.rstrip().endswith("s: 200 OK welcome")
    assert receiver.types == ["hook.test"]
    assert receiver.requests[0].headers["webhook-id"] == receiver.requests[0].event["id"]
    receiver.statuses = [503]
    failed = operator("hooks", "test", "--json")
    assert failed.code == 1
    document = json.loads(failed.out)
    assert (document["delivered"], document["answer"]) == (False, "503 Service Unavailable")
    assert TOKEN not in said.out + said.err + failed.out


def test_a_hook_that_is_not_named_is_refused(operator: Redraft, redraft: Redraft, receiver: Receiver) -> None:
    said = operator("hooks", "test", "other")
    assert (said.code, receiver.requests) == (2, [])
    assert "HOOK: 'other' is not allowed; one of 127.0.0.1-" in said.err


def test_without_one_there_is_nothing_to_test(redraft: Redraft) -> None:
    said = redraft("hooks", "test")
    assert said.code == 2
    assert "REDRAFT_WEBHOOK_URLS" in said.err


def test_what_was_given_up_is_listed_said_and_sent_again(operator: Redraft, given_up: str) -> None:
    said = operator("hooks", "ls")
    assert "1 event was given up: 500 Internal Server Error" in said.out
    (listed,) = [json.loads(line) for line in operator("hooks", "ls", "--json").out.splitlines()]
    assert (listed["name"], listed["given_up"], listed["waiting"]) == ("ops", 1, 0)
    assert "hook ops: 1 event was given up" in operator("status").err
    (shown,) = json.loads(operator("status", "--json").out)["hooks"]
    assert shown["last_error"] == "500 Internal Server Error"
    found = json.loads(operator("doctor", "--json").out)["checks"]
    (finding,) = [one for one in found if one["name"] == "hooks"]
    assert finding["outcome"] == "warn"
    assert "unknown to the relay" in finding["detail"]  # that of the settings here
    assert operator("hooks", "retry", "other").code == 2
    assert "1 event is sent now" in operator("hooks", "retry", given_up).err
    (listed,) = [json.loads(line) for line in operator("hooks", "ls", "--json").out.splitlines()]
    assert (listed["given_up"], listed["waiting"]) == (0, 1)


def test_a_person_without_the_right_is_told_so(redraft: Redraft, given_up: str) -> None:
    said = redraft("hooks", "ls")
    assert said.code in (1, 2)
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) == 1
    assert "hook " not in redraft("status").err
