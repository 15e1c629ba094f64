"""Recorded streams of real servers' faults (`tests/streams`): each is read right, or blamed on the engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.errors import EngineFault
from tasks.llm.capabilities import Capabilities
from tasks.llm.chat import OpenAIChatModel
from tasks.types import ChatRequest, Message
from tests.standin.recorded import RECORDINGS, STREAMS, facts_of, send
from tests.unit.llm.conftest import CountingHeartbeat, SseServer

REQUEST = ChatRequest(messages=(Message(role="user", content="How long does the train need?"),), max_tokens=500)


@pytest.mark.parametrize("chunk_bytes", [1, 100_000])
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recorded_stream_is_read_right_or_blamed_on_the_engine(
    server: SseServer, chat: Callable[..., OpenAIChatModel], name: str, chunk_bytes: int
) -> None:
    facts = facts_of(name)
    right, server.script = facts["right"], lambda handler: send(handler, name, chunk_bytes)
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


def test_each_stream_says_what_it_is_and_whence() -> None:
    assert {path.stem for path in STREAMS.glob("*.toml")} == set(RECORDINGS)
    for name in RECORDINGS:
        facts = facts_of(name)
        assert facts["about"].endswith(".")
        assert facts["source"].startswith("https://")
