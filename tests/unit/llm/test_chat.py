"""The chat client against a real HTTP server on loopback that behaves well, badly, or not at all."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tasks.errors import AttachmentLost, Cancelled, ContextExceeded, EngineFault, LimitReached
from tasks.llm.capabilities import Capabilities
from tasks.llm.chat import OpenAIChatModel
from tasks.llm.tokenizer import IMAGE_TOKENS, SOUND_BYTES_PER_TOKEN
from tasks.types import Attachment, ChatRequest, GuardKind, Message
from tests.unit.llm.conftest import KEY, CountingHeartbeat, SseServer

REQUEST = ChatRequest(messages=(Message(role="user", content="Say it in thirty characters!"),), max_tokens=50, seed=7)
Make = Callable[..., OpenAIChatModel]


def _says(*pieces: str, finish: str = "stop", usage: dict[str, Any] | None = None) -> Callable[[Any], None]:
    def script(handler: Any) -> None:
        handler.begin()
        handler.word(role="assistant")
        for piece in pieces:
            handler.word(piece)
        handler.word(finish=finish)
        if usage:
            handler.event({"choices": [], "usage": usage})
        handler.event("[DONE]")

    return script


def test_an_answer_is_joined_with_its_usage(server: SseServer, chat: Make) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    server.script = _says("one ", "two\u2028", "three", usage=usage)
    heartbeat = CountingHeartbeat()
    completion = chat().complete(REQUEST, heartbeat)
    assert completion.text == "one two\u2028three"
    assert (completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens) == (12, 8, 3)
    assert (completion.finish_reason, completion.model, completion.engine, completion.guard) == (
        "stop",
        "tiny",
        "test server",
        None,
    )
    assert heartbeat.tokens == 3


def test_the_silence_of_the_prefill_is_announced_until_the_first_token(server: SseServer, chat: Make) -> None:
    server.script = _says("one")
    heartbeat = CountingHeartbeat()
    chat(first_token_seconds=30.0, token_silence_seconds=10.0).complete(REQUEST, heartbeat)
    assert heartbeat.silences == [30.0, 10.0]  # the request, the token; the role and the end bring none


def test_the_request_carries_sampling_extra_and_choices(server: SseServer, chat: Make) -> None:
    server.script = _says("yes")
    request = ChatRequest(messages=REQUEST.messages, top_k=9, seed=5, choices=("yes", "no"))
    chat(extra={"repetition_detection": {"n": 1}}).complete(request, CountingHeartbeat())
    body = server.bodies[0]
    assert (body["top_k"], body["seed"], body["stream"], body["max_tokens"]) == (9, 5, True, 1024)
    assert body["structured_outputs"] == {"choice": ["yes", "no"]}
    assert body["repetition_detection"] == {"n": 1}
    assert body["stream_options"] == {"include_usage": True}
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_what_may_run_on_is_not_ended_by_the_engine_either_and_says_that_it_was_let_through(
    server: SseServer, chat: Make
) -> None:
    server.script = _says(*(f"Gate {n} is shut and its lamp is lit.\n" for n in range(40)))
    request = dataclasses.replace(REQUEST, runs_on=True)
    completion = chat(extra={"repetition_detection": {"n": 1}}).complete(request, CountingHeartbeat())
    assert "repetition_detection" not in server.bodies[0]
    assert (completion.guard, completion.finish_reason) == (None, "stop")
    assert completion.text.endswith("Gate 39 is shut and its lamp is lit.\n")
    assert completion.let_through is not None
    assert (completion.let_through.kind, completion.let_through.at_char) == (GuardKind.TEMPLATE, 0)
    assert completion.let_through.unit.startswith("Gate 0 is shut")


def test_an_answer_that_is_to_be_code_ends_with_its_code(server: SseServer, chat: Make) -> None:
    words = ("```python\n", "def one():\n", "    return 1\n", "```\n", "It returns one.\n", "Try it:\n")
    closed = threading.Event()

    def script(handler: Any) -> None:
        handler.begin()
        for word in words[:4]:
            handler.word(word)
        server.wait_for_hang_up(handler)
        closed.set()

    server.script = script
    completion = chat().complete(dataclasses.replace(REQUEST, asks_code=True), CountingHeartbeat())
    assert closed.wait(5)
    assert completion.text == "```python\ndef one():\n    return 1\n```"
    assert (completion.finish_reason, completion.completion_tokens, completion.guard) == ("stop", 4, None)
    server.script = _says(*words)
    assert chat().complete(REQUEST, CountingHeartbeat()).text == "".join(words)


def test_an_answer_of_so_many_lines_ends_with_the_last(server: SseServer, chat: Make) -> None:
    words = ("```\n", "one(1)\n", "\n", "one(", "2)\n", "one(3)\n", "one(4)")
    server.script = _says(*words)
    completion = chat().complete(dataclasses.replace(REQUEST, asks_lines=2), CountingHeartbeat())
    assert completion.text == "```\none(1)\n\none(2)"
    assert (completion.finish_reason, completion.completion_tokens) == ("stop", 5)
    assert chat().complete(dataclasses.replace(REQUEST, asks_lines=4), CountingHeartbeat()).text == "".join(words)


def test_code_in_thoughts_without_an_opening_mark_is_no_answer(server: SseServer, chat: Make) -> None:
    sketch = ("Okay, let me think.\n", "```\n", "def one(): ...\n", "```\n", "</think>\n")
    server.script = _says(*sketch, "```python\n", "def one():\n", "    return 1\n", "```\n")
    model = chat(capabilities=Capabilities(thoughts="unknown"))
    completion = model.complete(dataclasses.replace(REQUEST, asks_code=True), CountingHeartbeat())
    assert completion.text.strip() == "```python\ndef one():\n    return 1\n```"


def test_a_choice_is_made_without_thoughts_and_all_else_as_the_profile_says(server: SseServer, chat: Make) -> None:
    server.script = _says("yes")
    model = chat(extra={"chat_template_kwargs": {"enable_thinking": True, "other": 1}})
    for choices in ((), ("yes", "no")):
        model.complete(ChatRequest(messages=REQUEST.messages, choices=choices), CountingHeartbeat())
    assert [body["chat_template_kwargs"] for body in server.bodies] == [
        {"enable_thinking": True, "other": 1},
        {"enable_thinking": False, "other": 1},
    ]


PICTURE = Attachment(name="a.png", media_type="image/png", sha256="a" * 64, bytes=3)
SOUND = Attachment(name="b.mp3", media_type="audio/mpeg", sha256="b" * 64, bytes=64_000)


def test_attachments_arrive_as_content_parts_before_the_text(server: SseServer, chat: Make) -> None:
    server.script = _says("a cat")
    message = Message(role="user", content="What is it?", attachments=(PICTURE, SOUND))
    contents = {PICTURE: b"\x89PN", SOUND: b"ID3"}
    model = chat(files=contents.__getitem__)
    completion = model.complete(ChatRequest(messages=(REQUEST.messages[0], message)), CountingHeartbeat())
    plain, with_files = server.bodies[0]["messages"]
    assert plain == {"role": "user", "content": REQUEST.messages[0].content}
    assert with_files == {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
            {"type": "text", "text": "What is it?"},
        ],
    }
    assert completion.text == "a cat"


def test_what_attachments_cost_is_guessed_without_sending_them(server: SseServer, chat: Make) -> None:
    server.tokenize = lambda: (200, b'{"count": 17}')
    message = Message(role="user", content="What is it?", attachments=(PICTURE, SOUND))
    assert chat().count_tokens([message]) == 17 + IMAGE_TOKENS + 64_000 // SOUND_BYTES_PER_TOKEN
    assert server.tokenized[0]["messages"] == [{"role": "user", "content": "What is it?"}]


def test_an_attachment_that_cannot_be_read_is_told_before_anything_is_sent(server: SseServer, chat: Make) -> None:
    with pytest.raises(AttachmentLost, match=r"a\.png"):
        chat().complete(
            ChatRequest(messages=(Message(role="user", content="", attachments=(PICTURE,)),)), CountingHeartbeat()
        )
    assert server.bodies == []


def test_without_usage_the_tokens_are_counted(server: SseServer, chat: Make) -> None:
    server.script = _says("a", "b")
    completion = chat().complete(REQUEST, CountingHeartbeat())
    assert (completion.prompt_tokens, completion.completion_tokens) == (len(REQUEST.messages[0].content) // 3, 2)


def test_thoughts_are_kept_apart(server: SseServer, chat: Make) -> None:
    def script(handler: Any) -> None:
        handler.begin()
        handler.word(reasoning="hm")
        handler.word(reasoning_content="m")
        handler.word("42", "stop")

    server.script = script
    completion = chat().complete(REQUEST, CountingHeartbeat())
    assert (completion.text, completion.reasoning) == ("42", "hmm")


@pytest.mark.parametrize("field", ["content", "reasoning"])
def test_a_loop_is_cut_and_the_engine_sees_the_client_leave(server: SseServer, chat: Make, field: str) -> None:
    def script(handler: Any) -> None:
        handler.begin()
        handler.word(**{field: "A good start"})
        for _ in range(100_000):
            handler.word(**{field: " and so on,"})

    server.script = script
    completion = chat().complete(REQUEST, CountingHeartbeat())
    assert completion.guard is not None
    assert (completion.guard.kind, completion.guard.at_char, completion.guard.period_chars) == (GuardKind.CYCLE, 12, 11)
    assert completion.finish_reason == "guard"
    assert completion.text == ("A good start" if field == "content" else "")
    assert completion.completion_tokens < 100
    assert completion.prompt_tokens == len(REQUEST.messages[0].content) // 3
    # A sender that filled the window hears of the end only at its next probe, whose pauses double.
    assert server.hung_up.wait(60)


@pytest.mark.parametrize(("text", "expected"), [("Fine. " + "no no " * 9, "Fine."), ("no copies", "no copies")])
def test_the_engines_own_repetition_is_a_hit(server: SseServer, chat: Make, text: str, expected: str) -> None:
    server.script = _says(text, finish="repetition")
    completion = chat().complete(REQUEST, CountingHeartbeat())
    assert completion.guard is not None
    assert completion.guard.kind is GuardKind.ENGINE
    assert completion.finish_reason == "repetition"
    assert completion.text.strip() == expected


@pytest.mark.parametrize("sent", ["nothing", "headers", "a token"])
def test_a_stop_ends_a_stalled_stream_at_the_engine(server: SseServer, chat: Make, sent: str) -> None:
    def script(handler: Any) -> None:
        if sent != "nothing":
            handler.begin()
        if sent == "a token":
            handler.word("Well")
        server.wait_for_hang_up(handler)

    server.script = script
    with pytest.raises(Cancelled):
        chat().complete(REQUEST, CountingHeartbeat(Cancelled("stop"), server.begun.is_set))
    assert server.hung_up.wait(10)


def test_hours_that_are_over_end_the_stream_at_the_engine_and_keep_what_came(server: SseServer, chat: Make) -> None:
    sent = threading.Event()

    def script(handler: Any) -> None:
        handler.begin()
        handler.word("Well")
        sent.set()
        server.wait_for_hang_up(handler)

    server.script = script
    heartbeat = CountingHeartbeat(LimitReached("hours", 1, 1), lambda: sent.is_set() and heartbeat.tokens > 0)
    made = chat().complete(REQUEST, heartbeat)
    assert (made.text, made.finish_reason, made.completion_tokens) == ("Well", "deadline", 1)
    assert made.prompt_tokens > 0
    assert server.hung_up.wait(10)


@pytest.mark.parametrize("silent", ["first_token_seconds", "token_silence_seconds"])
def test_too_long_a_silence_is_the_engines_fault(server: SseServer, chat: Make, silent: str) -> None:
    def script(handler: Any) -> None:
        handler.begin()
        if silent == "token_silence_seconds":
            handler.word("Well")
        server.wait_for_hang_up(handler)

    server.script = script
    with pytest.raises(EngineFault, match="was silent for"):
        chat(**{silent: 0.1}).complete(REQUEST, CountingHeartbeat())
    assert server.hung_up.wait(10)


def test_a_stream_that_lives_and_brings_no_token_is_silent(server: SseServer, chat: Make) -> None:
    def script(handler: Any) -> None:
        handler.begin()
        while not server.over.wait(0.02):
            handler.word("")

    server.script = script
    with pytest.raises(EngineFault, match="was silent for"):
        chat(first_token_seconds=0.3).complete(REQUEST, CountingHeartbeat())
    assert server.hung_up.wait(10)


def test_a_paced_answer_may_take_longer_than_one_silence(server: SseServer, chat: Make) -> None:
    def script(handler: Any) -> None:
        handler.begin()
        for piece in "abcdefgh":
            server.over.wait(0.15)
            handler.word(piece)
        handler.word(finish="length")

    server.script = script
    completion = chat(token_silence_seconds=1.0).complete(REQUEST, CountingHeartbeat())
    assert (completion.text, completion.finish_reason) == ("abcdefgh", "length")


def test_an_error_status_is_one_line_without_the_key(server: SseServer, chat: Make) -> None:
    server.script = lambda handler: handler.send({"error": {"message": "out of\nmemory, key sk-very-secret"}}, 500)
    with pytest.raises(EngineFault) as caught:
        chat().complete(REQUEST, CountingHeartbeat())
    assert str(caught.value) == "tiny answered 500: out of memory, key ***"
    assert len(server.bodies) == 1


def _half(handler: Any) -> None:
    handler.begin()
    handler.word("half an ans")


def _garbage(handler: Any) -> None:
    handler.begin()
    handler.event("{not json")


def _no_object(handler: Any) -> None:
    handler.begin()
    handler.event("[1]")


def _odd_choices(handler: Any) -> None:
    handler.begin()
    handler.event({"choices": [3]})


def _odd_usage(handler: Any) -> None:
    handler.begin()
    handler.event({"usage": {"prompt_tokens": "many"}})


def _odd_details(handler: Any) -> None:
    handler.begin()
    handler.event({"usage": {"prompt_tokens": 3, "prompt_tokens_details": [1]}})


def _error_event(handler: Any) -> None:
    handler.begin()
    handler.event({"error": {"message": "engine dead"}})


def _broken_body(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.word("half")
    handler.close_connection = True


def _nothing(handler: Any) -> None:
    handler.close_connection = True


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (_half, "hung up"),
        (_garbage, "broke off"),
        (_no_object, "broke off"),
        (_odd_choices, "no part of an answer"),
        (_odd_usage, "no part of an answer"),
        (_odd_details, "no part of an answer"),
        (_error_event, "engine dead"),
        (_broken_body, "broke off|cannot be reached"),
        (_nothing, "cannot be reached"),
    ],
)
def test_whatever_is_no_answer_is_the_engines_fault(
    server: SseServer, chat: Make, script: Callable[[Any], None], message: str
) -> None:
    server.script = script
    with pytest.raises(EngineFault, match=message) as caught:
        chat().complete(REQUEST, CountingHeartbeat())
    assert "\n" not in str(caught.value)


def test_an_engine_that_is_down_is_a_fault(chat: Make) -> None:
    with pytest.raises(EngineFault, match="cannot be reached"):
        chat(base_url="http://127.0.0.1:9/v1").complete(REQUEST, CountingHeartbeat())


def test_tokens_are_counted_by_the_endpoints_tokenizer(server: SseServer, chat: Make) -> None:
    server.tokenize = lambda: (200, b'{"count": 17}')
    model = chat(extra={"chat_template_kwargs": {"enable_thinking": True}})
    assert model.count_tokens(REQUEST.messages) == 17
    assert server.tokenized[0]["messages"] == [{"role": "user", "content": REQUEST.messages[0].content}]
    assert server.tokenized[0]["chat_template_kwargs"] == {"enable_thinking": True}


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (503, 2)])
def test_an_endpoint_without_a_tokenizer_is_queried_once_and_a_busy_one_again(
    server: SseServer, chat: Make, status: int, requests: int
) -> None:
    server.tokenize = lambda: (status, b"{}")
    model = chat()
    assert [model.count_tokens(REQUEST.messages) for _ in range(2)] == [9, 9]
    assert len(server.tokenized) == requests


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.", ContextExceeded),
        ("the request exceeds the available context size, try increasing it", ContextExceeded),
        ("temperature must be non-negative", EngineFault),
    ],
)
def test_a_prompt_that_is_too_long_is_distinguished_from_other_refusals(
    server: SseServer, chat: Make, message: str, kind: type[EngineFault]
) -> None:
    server.script = lambda handler: handler.send({"error": {"message": message}}, 400)
    with pytest.raises(EngineFault, match=message[:20]) as caught:
        chat().complete(REQUEST, CountingHeartbeat())
    assert type(caught.value) is kind
