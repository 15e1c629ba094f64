"""How a prompt is read once and copied between the slots of a llama.cpp server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import Cancelled, EngineFault
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.thoughts import Thinking
from tasks.types import Message, RequestSize
from tests.standin import serve
from workers.engine.slots import BEGIN_SECONDS, LlamaCppSlots

SIZE = RequestSize(
    messages=(Message(role="user", content="Why?"),), prompt_tokens=300, completion_tokens=9, thinking_tokens=7
)
THINKING = Thinking(on={"chat_template_kwargs": {"enable_thinking": True}}, budget="")


class Server:
    """A llama.cpp of a few slots, of which slot 1 reads; `sent` are paths and bodies in their order."""

    def __init__(self, folder: Path) -> None:
        self.root, self.folder, self.broken = "", folder, ""
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.saved: list[bool] = []
        self.slots: list[dict[str, Any]] = [
            {"id": 0, "is_processing": True, "id_task": 4, "n_prompt_tokens": 100},
            {"id": 1, "is_processing": False, "id_task": 9, "n_prompt_tokens": 300},
            {"id": 2, "is_processing": False, "id_task": 7, "n_prompt_tokens": 0},
            {"id": 3, "is_processing": False},
            {"id": 4, "is_processing": False, "id_task": 5, "n_prompt_tokens": 0},
        ]

    def handler(self) -> type[serve.Handler]:
        server = self

        class Handler(serve.Handler):
            def do_GET(self) -> None:
                self.send(server.slots if server.broken != "slots" else {"error": "off"})

            def do_POST(self) -> None:
                body = self.asked()
                server.sent.append((self.path, body))
                if server.broken and server.broken in self.path:
                    self.send({"error": "not here"}, 501)
                elif self.path == "/apply-template":
                    self.send({"prompt": "<user>Why?"} if server.broken != "prompt" else {"text": ""})
                elif self.path == "/completion":
                    events = ({"prompt_progress": {"processed": 256}, "id_slot": 1}, {"id_slot": 1, "stop": True})
                    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
                    self.send(data.encode() if server.broken != "slot" else b'data: {"stop": true}\n\n')
                else:
                    server.act(self.path, body)
                    self.send({})

        return Handler

    def act(self, path: str, body: dict[str, Any]) -> None:
        file = self.folder / body["filename"]
        if path.endswith("=save"):
            file.write_bytes(b"KV")
        else:
            self.saved.append(file.exists())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    with serve.serving(made.handler()) as made.root:
        yield made


@pytest.fixture
def slots(server: Server, tmp_path: Path) -> LlamaCppSlots:
    return LlamaCppSlots(server.root, folder=tmp_path, context_tokens=1000, thinking=THINKING)


def test_the_prompt_is_rendered_as_the_chat_would_and_no_token_is_written(server: Server, slots: LlamaCppSlots) -> None:
    assert slots.read(SIZE, SilentHeartbeat()) == 1
    (_, rendered), (_, read) = server.sent
    assert rendered == {"messages": [{"role": "user", "content": "Why?"}], **THINKING.on}
    assert (read["prompt"], read["n_predict"], read["cache_prompt"]) == ("<user>Why?", 0, True)


def test_what_was_read_goes_into_those_that_have_been_idle_for_longest(server: Server, slots: LlamaCppSlots) -> None:
    slots.copy(1, 2)
    (save, _), *restored = server.sent
    assert save == "/slots/1?action=save"
    assert {path for path, _ in restored} == {"/slots/3?action=restore", "/slots/4?action=restore"}
    assert server.saved == [True, True]
    assert list(server.folder.iterdir()) == []


def test_a_copy_whose_request_has_not_begun_is_kept_for_it(server: Server, slots: LlamaCppSlots) -> None:
    slots.copy(1, 1)
    slots.copy(2, 1)
    assert [path for path, _ in server.sent if "restore" in path] == [
        "/slots/3?action=restore",
        "/slots/4?action=restore",
    ]
    begun = time.monotonic()
    slots.read(SIZE, SilentHeartbeat())
    assert time.monotonic() - begun > BEGIN_SECONDS / 2
    slots.copy(1, 1)
    for slot in server.slots:
        slot["id_task"] = 20  # each has begun with another request
    begun = time.monotonic()
    slots.read(SIZE, SilentHeartbeat())
    assert time.monotonic() - begun < BEGIN_SECONDS / 2


def test_where_no_room_is_left_those_that_hold_something_are_overwritten(server: Server, slots: LlamaCppSlots) -> None:
    server.slots[0]["n_prompt_tokens"], server.slots[2]["n_prompt_tokens"] = 200, 301
    slots.copy(1, 1)
    assert server.sent[-1][0] == "/slots/2?action=restore"
    server.slots[0]["n_prompt_tokens"], server.slots[2]["id_task"] = 99, 8
    slots.copy(1, 1)
    assert server.sent[-1][0] == "/slots/3?action=restore"


def test_no_more_copies_are_made_than_there_are_idle_slots(server: Server, slots: LlamaCppSlots) -> None:
    slots.copy(1, 9)
    assert len(server.saved) == 3


@pytest.mark.parametrize("broken", ["apply-template", "prompt", "completion", "slot"])
def test_a_server_that_does_not_read_so_is_a_fault(server: Server, slots: LlamaCppSlots, broken: str) -> None:
    server.broken = broken
    with pytest.raises(EngineFault):
        slots.read(SIZE, SilentHeartbeat())


@pytest.mark.parametrize("broken", ["action=save", "action=restore", "slots"])
def test_a_copy_that_fails_leaves_no_file(server: Server, slots: LlamaCppSlots, broken: str) -> None:
    server.broken = broken
    with pytest.raises(EngineFault):
        slots.copy(1, 2)
    assert list(server.folder.iterdir()) == []


def test_a_reader_that_must_stop_ends_the_request(slots: LlamaCppSlots) -> None:
    class Stopped(SilentHeartbeat):
        def check(self) -> None:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        slots.read(SIZE, Stopped())
