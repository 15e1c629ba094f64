"""The real llama.cpp that the session's tests share: it answers with a model's own words, and it can be attached."""

from __future__ import annotations

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.chat import OpenAIChatModel
from tasks.store.session import Database
from tasks.types import ChatRequest, Message
from tests.loops import job_by
from workers.engine.attached import AttachedEndpoint
from workers.engine.server import EngineServer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

REQUEST = ChatRequest(
    messages=(Message(role="user", content="Name three rivers."),), max_tokens=24, temperature=0.0, seed=3
)


@pytest.fixture
def model(llama_server: EngineServer) -> OpenAIChatModel:
    return OpenAIChatModel(
        base_url=llama_server.url,
        model=llama_server.model,
        api_key="none",
        context_tokens=4096,
        first_token_seconds=60,
        token_silence_seconds=60,
        extra={},
        engine=llama_server.describe(),
    )


def test_it_answers_with_words_and_repeats_itself_for_the_same_seed(model: OpenAIChatModel) -> None:
    first, second = (model.complete(REQUEST, SilentHeartbeat()) for _ in range(2))
    assert len(first.text.split()) > 2
    assert 0 < first.completion_tokens <= 24
    assert first.text == second.text


def test_a_job_is_drafted_checked_and_brought_to_its_end(
    model: OpenAIChatModel, llama_server: EngineServer, user: Database, fleet: Database
) -> None:
    calls = job_by(model, user, fleet)
    assert all(call.completion_tokens > 0 and call.text.strip() for call in calls)
    assert {call.engine for call in calls} == {llama_server.describe()}


def test_it_is_attached_like_anybody_elses(llama_server: EngineServer) -> None:
    host = AttachedEndpoint(llama_server.url)
    host.examine()
    assert host.describe().startswith(f"endpoint {llama_server.url}")
    assert llama_server.model in host.describe()
    assert "structured answers" not in host.missing()
