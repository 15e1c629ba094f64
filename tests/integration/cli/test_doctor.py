"""What doctor finds, and that it says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from tasks.settings import Settings
from tasks.store.invariants import INVARIANTS
from workers.cli import doctor, machine, services
from workers.engine.record import EngineRecord, write_record
from workers.home import Home

pytestmark = pytest.mark.integration

Redraft = Callable[..., Any]
Admin = psycopg.Connection[tuple[object, ...]]
# Nothing listens on the port of the discard service here.
AWAY = "127.0.0.1:9"


def given(tmp_path: Path, **fields: Any) -> Settings:
    return Settings(**{"home": tmp_path / "home", "cache": tmp_path / "cache", **fields})


def test_every_look_is_one_line_and_one_object(redraft: Redraft) -> None:
    said, document = redraft("doctor"), json.loads(redraft("doctor", "--json").out)
    names = [check["name"] for check in document["checks"]]
    assert names == [line.split()[1] for line in said.out.splitlines()]
    assert (
        " ".join(names)
        == "python home disk sandbox runtimes compilers plugins gpu postgres broker worker relay memory cloud"
    )
    assert all(check["outcome"] in ("ok", "warn", "fail") for check in document["checks"])
    assert said.code == int(any(check["outcome"] == "fail" for check in document["checks"]))
    assert "secret" not in said.out


def test_postgres_is_told_from_one_without_schema_and_one_that_is_away(
    tmp_path: Path, urls: Any, empty_database: str
) -> None:
    good, bare, away = (
        next(
            found for found in doctor.examine(given(tmp_path, database_url=SecretStr(url))) if found.name == "postgres"
        )
        for url in (urls.ada, empty_database, f"postgresql+psycopg://a:b@{AWAY}/c")
    )
    assert (good.outcome, bare.outcome, away.outcome) == ("ok", "fail", "fail")
    assert bare.advice == "run `redraft db upgrade`"
    assert "did not answer" in away.detail


def test_a_broker_that_is_away_fails(tmp_path: Path, valkey_url: str) -> None:
    good = services.broker(given(tmp_path, broker_url=SecretStr(valkey_url)))
    away = services.broker(given(tmp_path, broker_url=SecretStr(f"redis://{AWAY}/0")))
    assert good is not None
    assert away is not None
    assert (good.outcome, away.outcome) == ("ok", "fail")


def test_a_silent_worker_is_not_alive(tmp_path: Path, urls: Any, admin: Admin) -> None:
    settings = given(tmp_path, database_url=SecretStr(urls.ada))
    admin.execute(
        "INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)"
        " VALUES ('w', 'h', 1, '{gpu}', 2, '0', now() - interval '1 h')"
    )
    silent = services.worker(settings)
    admin.execute("UPDATE workers SET seen_at = now()")
    alive = services.worker(settings)
    assert silent is not None
    assert alive is not None
    assert (silent.outcome, silent.detail) == ("warn", "no worker is alive; 1 went silent")
    assert (alive.outcome, alive.detail) == ("ok", "w serves gpu with 2 slots for text")


def test_a_connected_relay_is_seen_by_a_person(tmp_path: Path, urls: Any) -> None:
    settings = given(tmp_path, database_url=SecretStr(urls.ada))
    with psycopg.connect(urls.admin.replace("+psycopg", ""), application_name="redraft relay"):
        connected = services.relay(settings)
    assert connected is not None
    assert connected.outcome == "ok"


def test_a_home_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = machine.home(given(tmp_path, home=tmp_path / "file" / "home"))
    assert found.outcome == "fail"
    assert "REDRAFT_HOME" in found.advice


def test_an_endpoint_that_does_not_answer_fails(tmp_path: Path) -> None:
    found = services.engine(given(tmp_path, endpoint=f"http://{AWAY}/v1"))
    assert found is not None
    assert found.outcome == "fail"
    assert "OpenAI" in found.advice


def test_the_engine_that_would_run_here_is_named_with_the_reason(tmp_path: Path) -> None:
    found = services.engine(given(tmp_path, model="smollm2-135m", engine="llama.cpp"))
    assert found is not None
    assert found.detail.startswith("none runs; llama.cpp would serve smollm2-135m-q4: llama.cpp on the CPU with ")
    unknown = services.engine(given(tmp_path, model="no-such-model"))
    assert unknown is not None
    assert (unknown.outcome, "known models are" in unknown.detail) == ("warn", True)


def test_the_engine_that_runs_here_is_named(tmp_path: Path) -> None:
    settings, this = given(tmp_path), psutil.Process()
    home = Home(root=settings.home)
    home.make()
    record = EngineRecord(
        pid=this.pid,
        start_time=this.create_time(),
        port=1,
        url="http://127.0.0.1:1/v1",
        profile="smollm2-135m-q4",
        model="smollm2-135m-q4",
        argv_hash="x",
        version="llama 1.2",
    )
    write_record(home, record)
    found = services.engine(settings)
    assert found is not None
    assert found.detail == "llama.cpp (llama 1.2) serves smollm2-135m-q4"


def test_a_deep_look_names_every_promise_and_the_job_that_breaks_one(tmp_path: Path, urls: Any, admin: Admin) -> None:
    settings = given(tmp_path, database_url=SecretStr(urls.admin))
    kept = [found for found in doctor.examine(settings, deep=True) if found.name == "promises"]
    admin.execute(
        "INSERT INTO jobs (spec_hash, title, problem, checks, strategy, lane, egress, budget_usd, budget_hours,"
        " budget_iterations, budget_tokens, local_tokens) VALUES ('h', 't', 'p',"
        ' jsonb_build_array(\'{"kind": "answer", "name": "answer", "value": 1}\'::jsonb),'
        " 'single', 'gpu', 'never',"
        " 1, 1, 1, 10, 11)"
    )
    broken = [found for found in services.promises(settings) if found.outcome == "fail"]
    assert len(kept) == len(INVARIANTS)
    assert all(found.outcome == "ok" for found in kept)
    assert any("11 of 10 tokens" in found.detail for found in broken)
