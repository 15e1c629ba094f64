"""`redraft up` beside a stack that runs already: it never goes on in silence with something else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InvalidInput
from tasks.settings import Settings
from tasks.types import Egress
from workers.cli.stack import refuse_change
from workers.engine.record import EngineRecord, write_record
from workers.home import Home
from workers.stackfile import StackFile

STACK = StackFile(
    admin_url="",
    worker_url="",
    user_url="",
    broker_url="",
    flower_url="",
    flower_user="",
    flower_password="",
    memory_url="",
    memory_key="",
    supervisor_pid=1,
    supervisor_started=1.0,
    endpoint="http://me:hush@127.0.0.1:8080/v1",
    model="auto",
    egress="never",
)


def asked(home: Path, **fields: Any) -> Settings:
    return Settings(home=home, **fields)


@pytest.mark.parametrize(
    "fields", [{}, {"endpoint": "http://127.0.0.1:8080/v1/"}, {"model": "auto"}, {"egress": Egress.NEVER}]
)
def test_the_same_again_is_harmless(tmp_path: Path, fields: dict[str, Any]) -> None:
    refuse_change(STACK, asked(tmp_path, **fields))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"endpoint": "http://x:word@elsewhere/v1"}, r"^endpoint: 'http://elsewhere/v1' .* http://127.0.0.1:8080/v1: "),
        ({"endpoint_model": "tiny"}, r"^endpoint_model: 'tiny' .* has none: "),
        ({"model": "gemma-4-31b"}, r"^model: 'gemma-4-31b' .* has auto: "),
        ({"engine": "vllm"}, r"^engine: 'vllm' .* has none: "),
        ({"egress": Egress.FULL}, r"^egress: 'full' .* has never: "),
    ],
)
def test_something_else_is_refused_with_what_to_type(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says + "`redraft down`, then the same command again") as caught:
        refuse_change(STACK, asked(tmp_path, **fields))
    assert "hush" not in str(caught.value)
    assert "word" not in str(caught.value)


def test_what_was_chosen_by_itself_may_be_named(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    home.make()
    record = EngineRecord(
        pid=1, start_time=1.0, port=1, url="u", profile="smol", model="smol", argv_hash="", engine="llama.cpp"
    )
    write_record(home, record)
    own = dataclasses.replace(STACK, endpoint="")
    refuse_change(own, asked(tmp_path, model="smol", engine="llama.cpp"))
    with pytest.raises(InvalidInput, match=r"has an engine of its own"):
        refuse_change(own, asked(tmp_path, endpoint="http://elsewhere/v1"))
