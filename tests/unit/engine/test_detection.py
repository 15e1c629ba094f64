"""Servers that lack each ability: that it is found, worked around, and said."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import EngineFault
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.capabilities import Capabilities
from tasks.llm.chat import OpenAIChatModel
from tasks.settings import Settings
from tasks.types import ChatRequest, Message
from tests.standin import recorded
from tests.standin.endpoint import LLAMA_CPP, OLLAMA, VLLM, StandIn, serving
from workers.cli import services
from workers.engine.attached import AttachedEndpoint
from workers.engine.detection import Endpoint, describe_server, detect_capabilities
from workers.process import Recorded
from workers.stackfile import StackFile, write

NOTHING = Capabilities(
    choices="text",
    tokenizer="none",
    stream_usage=False,
    top_k=False,
    seeds=False,
    repetition=False,
    metrics=False,
    thoughts="unknown",
)
LACKING = (
    {"choices": "json_schema"},
    {"choices": "text"},
    {"tokenizer": "text"},
    {"tokenizer": "none", "thoughts": "unknown"},
    {"stream_usage": False},
    {"top_k": False},
    {"seeds": False},
    {"repetition": False},
    {"metrics": False},
)
OTHERWISE = ({"choices": "grammar"}, {"thoughts": "opened"})
EVERY = [Capabilities(), NOTHING, *(dataclasses.replace(Capabilities(), **other) for other in (*LACKING, *OTHERWISE))]


def at(standin: StandIn) -> Endpoint:
    return Endpoint(url=standin.url, model="tiny")


def client(host: AttachedEndpoint) -> OpenAIChatModel:
    """As a worker makes it."""
    return OpenAIChatModel(
        base_url=host.url,
        model=host.model,
        api_key="none",
        context_tokens=host.profile.max_model_len,
        first_token_seconds=20.0,
        token_silence_seconds=20.0,
        extra=host.profile.request_extra,
        engine=host.describe(),
        capabilities=host.capabilities,
    )


def ask(**fields: Any) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content="Is it right?"),), max_tokens=16, seed=3, **fields)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("able", EVERY)
def test_what_a_server_can_is_found_out_by_asking_it(able: Capabilities, strict: bool) -> None:
    with serving(able, strict=strict) as standin:
        assert detect_capabilities(at(standin)) == able


@pytest.mark.parametrize("able", EVERY)
def test_a_request_has_only_fields_that_the_server_takes_and_is_answered(able: Capabilities) -> None:
    with serving(able, strict=True) as standin:
        host = AttachedEndpoint(standin.url)
        host.examine()
        plain = client(host).complete(ask(), SilentHeartbeat())
        assert set(standin.bodies[-1]) <= standin.known()
        assert ("repetition_detection" in standin.bodies[-1]) is able.repetition
        standin.answer = "Verdict: no"
        chosen = client(host).complete(ask(choices=("no", "yes"), temperature=0), SilentHeartbeat())
    assert len(plain.text.split()) == 10
    assert plain.completion_tokens > 0
    assert chosen.text == "no"


def test_a_chat_is_counted_alike_by_either_tokenizer_and_guessed_without_one() -> None:
    counts = dict[str, int]()
    for able in (Capabilities(), Capabilities(tokenizer="text"), Capabilities(tokenizer="none")):
        with serving(able) as standin:
            host = AttachedEndpoint(standin.url)
            host.examine()
            counts[able.tokenizer] = client(host).count_tokens(ask().messages)
    assert counts == {"chat": 4, "text": 4, "none": len("Is it right?") // 3}


@pytest.mark.parametrize("lack", LACKING)
def test_doctor_says_what_is_lacking_and_what_is_done_instead(lack: dict[str, Any], tmp_path: Path) -> None:
    able = dataclasses.replace(Capabilities(), **lack)
    (said,) = able.missing()
    with serving(able) as standin:
        found = services.engine(Settings(home=tmp_path, cache=tmp_path, endpoint=standin.url))
    assert found is not None
    assert found.outcome == "warn"
    assert found.detail == f"endpoint {standin.url} vllm 0.32.0 tiny, 8 slots of 4096 tokens; {said}"


def test_doctor_has_nothing_to_say_of_a_server_that_can_everything(tmp_path: Path) -> None:
    with serving(Capabilities()) as standin:
        found = services.engine(Settings(home=tmp_path, cache=tmp_path, endpoint=standin.url))
    assert found is not None
    assert (found.outcome, found.detail.count(";")) == ("ok", 0)


@pytest.mark.parametrize(
    ("said", "entry", "name", "context", "slots"),
    [
        (VLLM, {"max_model_len": 4096}, "vllm 0.32.0", 4096, 0),
        (LLAMA_CPP, {"meta": {"n_ctx_train": 262_144}}, "llama.cpp b7000", 12_288, 2),
        (OLLAMA, {}, "ollama 0.12", 16_384, 0),
        ({}, {}, "", 0, 0),
    ],
)
def test_a_server_tells_its_name_context_and_slots_where_its_kind_keeps_them(
    said: dict[str, Any], entry: dict[str, Any], name: str, context: int, slots: int
) -> None:
    with serving(NOTHING, said=said, entry=entry) as standin:
        told = describe_server(at(standin), {"id": "tiny", **entry})
    assert (told.name, told.context_tokens, told.slots) == (name, context, slots)


def test_an_answer_without_a_choice_is_left_as_it_is() -> None:
    with serving(NOTHING, strict=True) as standin:
        host = AttachedEndpoint(standin.url)
        host.examine()
        standin.answer = "Whether it is yes or no is hard to say."
        made = client(host).complete(ask(choices=("no", "yes"), temperature=0), SilentHeartbeat())
    assert made.text == standin.answer


def test_doctor_looks_at_the_endpoint_of_the_running_stack(tmp_path: Path) -> None:
    me = Recorded.of(os.getpid())
    with serving(Capabilities(seeds=False)) as standin:
        numbers = {
            "supervisor_pid": me.pid,
            "supervisor_started": me.started,
            "endpoint_context_tokens": 1024,
        }
        names = StackFile.__dataclass_fields__
        stack = StackFile(**{**dict.fromkeys(names, ""), "endpoint": standin.url, **numbers})  # type: ignore[arg-type]
        (tmp_path / "run").mkdir()
        write(tmp_path, stack)
        found = services.engine(Settings(home=tmp_path, cache=tmp_path))
    assert found is not None
    assert "slots of 1024 tokens" in found.detail, "as its operator said to `up`"
    assert found.detail.endswith("seeds without effect: a run can't be repeated word by word")


def test_doctor_says_in_one_line_that_answers_stand_in_the_field_for_thoughts(tmp_path: Path) -> None:
    with recorded.serving("reasoning_only") as server:
        host = AttachedEndpoint(server.url)
        host.examine()
        found = services.engine(Settings(home=tmp_path, cache=tmp_path, endpoint=server.url))
        completion = client(host).complete(ask(), SilentHeartbeat())
    assert found is not None
    assert found.outcome == "warn"
    assert "it answers in the reasoning field only" in found.detail
    assert completion.text.endswith("ANSWER: 6")


@pytest.mark.parametrize("recording", ["closing_mark_alone", "thoughts_in_answer_mark", "finish_reason_missing"])
def test_a_stream_that_can_be_read_is_no_reason_to_refuse_an_endpoint(recording: str) -> None:
    with recorded.serving(recording) as server:
        host = AttachedEndpoint(server.url)
        host.examine()
        completion = client(host).complete(ask(), SilentHeartbeat())
    assert completion.text.strip() == "The train needs 6 hours.\nANSWER: 6"


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        ("tool_call", "by a call of a tool that nobody offered"),
        ("hung_up", "hung up"),
        ("error_field", "context shift"),
    ],
)
def test_an_endpoint_whose_stream_brings_no_answer_is_refused_in_one_line(
    recording: str, reason: str, tmp_path: Path
) -> None:
    with recorded.serving(recording) as server:
        with pytest.raises(EngineFault, match=reason):
            AttachedEndpoint(server.url).start()
        found = services.engine(Settings(home=tmp_path, cache=tmp_path, endpoint=server.url))
    assert found is not None
    assert found.outcome == "fail"
    assert reason in found.detail
    assert "\n" not in found.detail
