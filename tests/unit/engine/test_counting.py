"""Prompts counted by whoever serves the local stack's model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.llm.capabilities import Capabilities, Tokenizer
from tasks.settings import Settings
from tasks.types import Message
from tests.standin.endpoint import StandIn, serving
from workers.engine.counting import EngineCount
from workers.engine.record import EngineRecord, write_record
from workers.home import Home
from workers.process import Recorded

MESSAGES = (Message(role="system", content="Be brief."), Message(role="user", content="Is it right?"))
TOKENS = 7  # the stand-in's: five words, and one for each role


def settings(tmp_path: Path, endpoint: str = "", model: str = "") -> Settings:
    return Settings(home=tmp_path, cache=tmp_path, endpoint=endpoint, endpoint_model=model)


@pytest.mark.parametrize(("tokenizer", "tokens"), [("chat", TOKENS), ("text", TOKENS), ("none", None)])
def test_an_attached_server_counts_by_the_tokenizer_that_it_has(
    tmp_path: Path, tokenizer: Tokenizer, tokens: int | None
) -> None:
    with serving(Capabilities(tokenizer=tokenizer)) as standin:
        counted = EngineCount(settings(tmp_path, standin.url))("tiny", MESSAGES)
    assert counted == tokens


def test_a_server_of_another_model_counts_nothing(tmp_path: Path) -> None:
    with serving(Capabilities()) as standin:
        assert EngineCount(settings(tmp_path, standin.url, "tiny"))("large", MESSAGES) is None
        assert standin.counted == []


def test_nobody_counts_where_nothing_runs(tmp_path: Path) -> None:
    assert EngineCount(settings(tmp_path))("tiny", MESSAGES) is None
    assert EngineCount(settings(tmp_path, "http://127.0.0.1:9/v1"))("tiny", MESSAGES) is None


def record(home: Home, standin: StandIn, *, ready: bool) -> None:
    me = Recorded.of(os.getpid())
    write_record(
        home,
        EngineRecord(
            pid=me.pid,
            start_time=me.started,
            port=1,
            url=standin.url,
            profile="tiny-q4",
            model="tiny",
            argv_hash="",
            ready=ready,
        ),
    )


@pytest.mark.parametrize(("ready", "tokens"), [(True, TOKENS), (False, None)])
def test_an_engine_of_this_home_counts_once_it_is_ready(tmp_path: Path, ready: bool, tokens: int | None) -> None:
    home = Home(root=tmp_path)
    home.make()
    with serving(Capabilities()) as standin:
        record(home, standin, ready=ready)
        assert EngineCount(settings(tmp_path))("tiny", MESSAGES) == tokens
