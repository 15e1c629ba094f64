"""`redraft db login` and `redraft alive`, as a deployment in containers uses them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.cli.conftest import Urls
from workers.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration

Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]


@pytest.mark.parametrize(("role", "bypasses"), [("worker", True), ("submitter", False)])
def test_a_login_is_made_and_its_password_can_be_set_again(
    redraft: Redraft, urls: Urls, postgres: EmbeddedPostgres, admin: Admin, tmp_path: Path, role: str, bypasses: bool
) -> None:
    for password in ("first", "second"):
        (tmp_path / "password").write_text(f"{password}\n")
        said = redraft(
            "db", "login", f"made_{role}", "--role", role, "--password-file", "password", "--url", urls.admin
        )
        assert (said.code, said.out, said.err) == (0, f"made_{role} may log in as a {role}\n", "")
    with psycopg.connect(postgres.url_of("cli", f"made_{role}", "second").replace("+psycopg", "")) as connection:
        row = connection.execute(
            "SELECT rolbypassrls, pg_has_role(%s, 'MEMBER') FROM pg_roles WHERE rolname = session_user",
            (f"redraft_{role}",),
        ).fetchone()
    assert row == (bypasses, True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pg_me", "--role", "worker", "--password-file", "p"], "NAME: 'pg_me' "),
        (["redraft_worker", "--role", "worker", "--password-file", "p"], "NAME: 'redraft_worker' "),
        (["a b", "--role", "worker", "--password-file", "p"], "NAME: 'a b' "),
        (["me", "--role", "reader", "--password-file", "p"], "--role: 'reader' "),
        (["me", "--role", "worker", "--password-file", "none"], "--password-file: 'none' "),
        (["me", "--role", "worker", "--password-file", "two"], "--password-file: 'two' "),
    ],
)
def test_a_bad_login_is_one_line_and_exit_2(
    redraft: Redraft, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    (tmp_path / "p").write_text("secret")
    (tmp_path / "two").write_text("two\nlines")
    said = redraft("db", "login", *arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(expected)
    assert "lines" not in said.err.split("; ")[0]


def test_alive_tells_whether_this_machines_worker_serves_a_lane(redraft: Redraft, admin: Admin) -> None:
    assert redraft("alive").code == 1
    insert = "INSERT INTO workers (name, host, pid, lanes, slots, version) VALUES (%s, %s, 1, %s, 1, '0')"
    admin.execute(insert, ("other", "elsewhere", ["gpu"]))
    admin.execute(insert, ("ill", socket.gethostname(), []))
    said = redraft("alive", "worker")
    assert (said.code, said.err) == (1, f"no worker of {socket.gethostname()} serves a lane now\n")
    admin.execute(insert, ("well", socket.gethostname(), ["check"]))
    assert redraft("alive", "worker").code == 0
    admin.execute("UPDATE workers SET seen_at = now() - interval '1 minute'")
    assert redraft("alive", "worker").code == 1


def test_alive_tells_whether_a_relay_is_connected(redraft: Redraft, urls: Urls) -> None:
    said = redraft("alive", "relay")
    assert (said.code, said.err) == (1, "no relay is connected to Postgres\n")
    with psycopg.connect(urls.admin.replace("+psycopg", ""), application_name="redraft relay"):
        assert redraft("alive", "relay").code == 0
    assert redraft("alive", "engine").code == 2


def test_a_model_that_this_machine_cannot_hold_is_refused_before_anything_starts(
    redraft: Redraft, tmp_path: Path
) -> None:
    said = redraft("up", "--detach", "--model", "no-such-model")
    assert (said.code, "known models are auto, gemma-4-26b-a4b, gemma-4-31b" in said.err) == (2, True)
    said = redraft("up", "--detach", "--endpoint", "127.0.0.1:8000")
    assert (said.code, "it must be an address such as" in said.err) == (2, True)


def test_a_choice_is_explained_for_cards_that_one_thinks_of(redraft: Redraft) -> None:
    told = json.loads(redraft("engine", "probe", "--json", "--card", "15.92:12", "--card", "15.93:12").out)
    assert told["chosen"] == "gemma-4-31b-nvfp4"
    assert "14.2 GiB needed on each of 2, 14.3 GiB usable (17.7 weights + 0.88 drafter + 5.8 KV" in told["why"]
    fast = json.loads(redraft("engine", "probe", "--json", "--card", "79.65:9", "--lane", "fast").out)
    assert fast["chosen"] == "gemma-4-26b-a4b-bf16"
    refused = {row["profile"]: row["why"] for row in told["profiles"] if not row["fits"]}
    assert "35.4 weights + 0.88 drafter + 5.8 KV for 65536 tokens + 2 a card" in refused["gemma-4-31b-fp8"]
    bad = redraft("engine", "probe", "--card", "16")
    assert (bad.code, bad.err.startswith("--card: '16' is not allowed")) == (2, True)


def test_a_card_for_llama_cpp_is_explained_with_what_it_takes(redraft: Redraft) -> None:
    said = redraft("engine", "probe", "--card", "24:8.6")
    assert "auto takes gemma-4-31b-q4 by llama.cpp: llama.cpp with all layers on 1 card" in said.err
    assert "REDRAFT_LLAMA_SERVER names it" in said.err


def test_a_processor_that_one_thinks_of_gets_its_engine_threads_and_slots(redraft: Redraft) -> None:
    told = json.loads(redraft("engine", "probe", "--json", "--cpu", "avx2:8:16").out)
    assert (told["chosen"], told["engine"], told["threads"], told["slots"]) == (
        "qwen2.5-coder-1.5b-q4",
        "llama.cpp",
        7,
        4,
    )
    vllm = json.loads(redraft("engine", "probe", "--json", "--cpu", "avx2:8:16", "--engine", "vllm").out)
    assert (vllm["engine"], "no kernels for bf16" in vllm["why"]) == ("vllm-cpu", True)


def test_an_engine_and_a_model_that_contradict_each_other_are_one_line(redraft: Redraft) -> None:
    for arguments in (("--model", "smollm2-135m-q4"), ("--endpoint", "http://127.0.0.1:9/v1")):
        said = redraft("up", "--detach", "--engine", "vllm", *arguments)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "vllm" in said.err
