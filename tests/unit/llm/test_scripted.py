"""The scripted model keeps to the same protocol as the real client."""

from __future__ import annotations

import pytest

from tasks.errors import Cancelled, EngineFault
from tasks.llm.scripted import ScriptedModel
from tasks.ports import ChatModel
from tasks.types import ChatRequest, GuardKind, Message
from tests.unit.llm.conftest import CountingHeartbeat

REQUEST = ChatRequest(messages=(Message(role="user", content="x" * 40),), max_tokens=400)


def test_it_streams_the_answer_and_counts_tokens() -> None:
    model: ChatModel = ScriptedModel(lambda request: request.messages[0].content.upper())
    heartbeat = CountingHeartbeat()
    made = model.complete(REQUEST, heartbeat)
    assert (made.text, made.finish_reason) == ("X" * 40, "stop")
    assert (made.prompt_tokens, made.completion_tokens, heartbeat.tokens) == (10, 10, 10)


def test_a_loop_is_cut_before_its_first_copy() -> None:
    made = ScriptedModel(lambda _: "Good. " + "more of it; " * 100).complete(REQUEST, CountingHeartbeat())
    assert made.guard is not None
    assert made.guard.kind is GuardKind.CYCLE
    assert (made.text.strip(), made.finish_reason) == ("Good.", "guard")
    assert made.completion_tokens < 300


def test_an_answer_ends_where_its_tokens_do() -> None:
    request = ChatRequest(messages=REQUEST.messages, max_tokens=2)
    made = ScriptedModel(lambda _: "abcdefghijkl").complete(request, CountingHeartbeat())
    assert (made.text, made.finish_reason) == ("abcdefgh", "length")


def test_faults_are_raised_in_their_turn() -> None:
    model = ScriptedModel(lambda _: "fine", faults=iter([EngineFault("down"), None]))
    with pytest.raises(EngineFault, match="down"):
        model.complete(REQUEST, CountingHeartbeat())
    assert [model.complete(REQUEST, CountingHeartbeat()).text for _ in range(2)] == ["fine", "fine"]


def test_a_stop_ends_it_between_chunks() -> None:
    heartbeat = CountingHeartbeat(Cancelled("stop"), lambda: heartbeat.tokens >= 8)
    with pytest.raises(Cancelled):
        ScriptedModel(lambda _: "word " * 30).complete(REQUEST, heartbeat)
    assert heartbeat.tokens == 8
