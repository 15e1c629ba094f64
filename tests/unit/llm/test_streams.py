"""Recorded streams of real servers' faults (`tests/streams`): each is read right, or blamed on the engine."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import EngineFault
from tasks.llm.capabilities import Capabilities
from tasks.llm.chat import OpenAIChatModel
from tasks.types import ChatRequest, Message
from tests.unit.llm.conftest import CountingHeartbeat, SseServer

STREAMS = Path(__file__).parents[2] / "streams"
REQUEST = ChatRequest(messages=(Message(role="user", content="How long does the train need?"),), max_tokens=500)
RECORDED = sorted(path.stem for path in STREAMS.glob("*.sse"))


def facts_of(name: str) -> dict[str, Any]:
    """What a stream's TOML file says of it."""
    return tomllib.loads((STREAMS / f"{name}.toml").read_text())


def sends(name: str, chunk_bytes: int) -> Callable[[Any], None]:
    """Sends a recorded stream so many bytes at a time."""
    body, facts = (STREAMS / f"{name}.sse").read_bytes(), facts_of(name)

    def script(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", facts.get("content_type", "text/event-stream; charset=utf-8"))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        for at in range(0, len(body), chunk_bytes):
            handler.wfile.write(body[at : at + chunk_bytes])
            handler.wfile.flush()

    return script


@pytest.mark.parametrize("chunk_bytes", [1, 100_000])
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_stream_is_read_right_or_blamed_on_the_engine(
    server: SseServer, chat: Callable[..., OpenAIChatModel], name: str, chunk_bytes: int
) -> None:
    facts = facts_of(name)
    right, server.script = facts["right"], sends(name, chunk_bytes)
    model = chat(capabilities=Capabilities(thoughts=facts.get("thoughts", "apart")))
    if "fault" in right:
        with pytest.raises(EngineFault, match=right["fault"]) as caught:
            model.complete(REQUEST, CountingHeartbeat())
        assert "\n" not in str(caught.value)
        return
    completion = model.complete(REQUEST, CountingHeartbeat())
    assert (completion.text, completion.reasoning) == (right["text"], right["thoughts"])
    assert (completion.finish_reason, completion.guard) == (right["finish_reason"], None)
    assert completion.completion_tokens == right.get("completion_tokens", completion.completion_tokens) > 0


def test_each_stream_says_what_it_is_and_whence(request: pytest.FixtureRequest) -> None:
    assert {path.stem for path in STREAMS.glob("*.toml")} == set(RECORDED)
    for name in RECORDED:
        facts = facts_of(name)
        assert facts["about"].endswith(".")
        assert facts["source"].startswith("https://")
