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
    completion = model.complete(REQUEST, heartbeat)
    assert (completion.text, completion.finish_reason) == ("X" * 40, "stop")
    assert (completion.prompt_tokens, completion.completion_tokens, heartbeat.tokens) == (10, 10, 10)


def test_a_loop_is_cut_before_its_first_copy() -> None:
    completion = ScriptedModel(lambda _: "Good. " + "more of it; " * 100).complete(REQUEST, CountingHeartbeat())
    assert completion.guard is not None
    assert completion.guard.kind is GuardKind.CYCLE
    assert (completion.text.strip(), completion.finish_reason) == ("Good.", "guard")
    assert completion.completion_tokens < 300


def test_an_answer_ends_where_its_tokens_do() -> None:
    request = ChatRequest(messages=REQUEST.messages, max_tokens=2)
    completion = ScriptedModel(lambda _: "abcdefghijkl").complete(request, CountingHeartbeat())
    assert (completion.text, completion.finish_reason) == ("abcdefgh", "length")


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
