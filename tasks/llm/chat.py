"""The client of an OpenAI-compatible server: it streams an answer, guards it meanwhile, and cancels at the engine.

A stalled stream is abandoned within `POLL_SECONDS`. It must not know jobs, prompts or budgets.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never
from urllib.parse import urlsplit

from tasks.deadline import DEADLINE
from tasks.errors import AttachmentLost, ContextExceeded, EngineFault, LimitReached
from tasks.llm.capabilities import Capabilities, choice_field, chosen
from tasks.llm.counting import Counts
from tasks.llm.guard import Guard, engine_hit
from tasks.llm.responsebody import error_message
from tasks.llm.stream import Stream, chat
from tasks.llm.thoughts import Thinking, apart
from tasks.ports import Heartbeat
from tasks.types import Attachment, ChatRequest, Completion, GuardHit, Message, Modality

if TYPE_CHECKING:
    import ssl

    import httpx2

POLL_SECONDS = 0.25
CONNECT_SECONDS = 10.0
TOKENIZE_SECONDS = 10.0
# Used where the endpoint has no tokenizer. Most text has more characters a token, so this counts rather too many.
CHARS_PER_TOKEN = 3
# Upper estimates: Gemma 4's largest image, and 25 tokens for a second of mp3 at 128 kbit/s.
IMAGE_TOKENS = 1120
SOUND_BYTES_PER_TOKEN = 640
# OpenAI's names of the two formats.
SOUND_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3"}
# The statuses of servers that have no /tokenize; any other failure may pass, so the request is sent again next time.
NO_TOKENIZER = frozenset({401, 403, 404, 405, 501})
# How vLLM, llama.cpp and OpenAI report a prompt that is longer than the context.
TOO_LONG = re.compile(r"context[ _](?:length|size|window)|maximum (?:model|context|input) length", re.IGNORECASE)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MESSAGE_CHARS = 300
OUR_OWN = Capabilities()
THOUGHTLESS = Thinking()


@dataclass(slots=True, kw_only=True)
class _Answer:
    """What has arrived so far. `last_token` is the monotonic second of the latest token (at first, of the request), and
    `silence_seconds` how long the engine may be silent from then."""

    last_token: float
    silence_seconds: float
    text: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    deltas: int = 0
    usage: Mapping[str, int] = field(default_factory=dict)
    text_guard: Guard = field(default_factory=Guard)
    thought_guard: Guard = field(default_factory=Guard)

    @property
    def hit(self) -> GuardHit | None:
        """A loop in the text, or else in the thoughts."""
        return self.text_guard.hit or self.thought_guard.hit


class OpenAIChatModel:
    """Implements `ChatModel`. Safe to share between threads.

    Parameters: `base_url` ends in /v1; `extra` goes into each request's body; `engine` describes the server
    for the journal; `first_token_seconds` and `token_silence_seconds` bound its silence; `files` reads an attachment;
    `capabilities` is what the server supports; `thinking` holds the fields that make its model think.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str,
        context_tokens: int,
        first_token_seconds: float,
        token_silence_seconds: float,
        extra: Mapping[str, Any],
        engine: str,
        files: Callable[[Attachment], bytes] | None = None,
        capabilities: Capabilities = OUR_OWN,
        thinking: Thinking = THOUGHTLESS,
    ) -> None:
        self.name, self.context_tokens = model, context_tokens
        self._base_url, self._api_key, self._engine = base_url.rstrip("/"), api_key, engine
        self._first_seconds, self._silence_seconds = first_token_seconds, token_silence_seconds
        self._extra, self._files = dict(extra), files or _no_file
        self._capabilities, self._thinking = capabilities, thinking
        self._tokenizes, self._counts = capabilities.tokenizer != "none", Counts()
        self._tls: ssl.SSLContext | None = None

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        """One streamed answer. Raises `EngineFault` and what `heartbeat.check()` raises; both also stop the engine. A
        `LimitReached` ends the answer where it is."""
        heartbeat.check()
        begun = time.monotonic()
        answer = _Answer(last_token=begun, silence_seconds=self._first_seconds)
        heartbeat.expect_silence(answer.silence_seconds)
        send = chat(self._body(request))
        stream = Stream(
            self._client(), self._base_url, self._api_key, send, lambda event: self._on_event(event, answer, heartbeat)
        )
        try:
            self._wait(stream, answer, heartbeat)
        except LimitReached:
            answer.finish_reason = DEADLINE
        finally:
            stream.close()
        return self._completion(request, self._end(answer), time.monotonic() - begun)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Counted by the endpoint's own tokenizer where it has one, each prompt once, else as a third of the
        characters.

        The tokens of images and sounds are estimated, since their bytes are sent only once, for the answer.
        """
        counted = self._counts.of(messages, lambda: self._tokenize(messages)) if self._tokenizes else None
        if counted is None:
            counted = sum(len(m.content) for m in messages) // CHARS_PER_TOKEN
        return counted + sum(_estimate(attachment) for m in messages for attachment in m.attachments)

    # ── the request ──────────────────────────────────────────────────────────────────────────

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        able, extra = self._capabilities, {**self._extra, **self._thinking.fields(request.thinking_tokens)}
        if able.top_k:
            extra["top_k"] = request.top_k
        if request.choices:
            extra |= choice_field(able.choices, request.choices) | _without_thoughts(extra)
        if able.stream_usage:
            extra["stream_options"] = {"include_usage": True}
        return {
            "model": self.name,
            "messages": [self._with_files(message) for message in request.messages],
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens + request.thinking_tokens,
            "seed": request.seed,
            "stream": True,
            "extra_body": extra,
        }

    def _with_files(self, message: Message) -> dict[str, Any]:
        """The message as OpenAI's content parts where it has attachments: these come first, as model cards advise."""
        if not message.attachments:
            return {"role": message.role, "content": message.content}
        parts = [_part(attachment, self._files(attachment)) for attachment in message.attachments]
        return {"role": message.role, "content": [*parts, {"type": "text", "text": message.content}]}

    def _client(self) -> httpx2.Client:
        """A client with one connection: its socket belongs to one request, and any thread can shut it down."""
        import httpx2

        address = urlsplit(self._base_url)
        if self._tls is None:
            self._tls = httpx2.create_ssl_context()
        return httpx2.Client(
            verify=self._tls,
            trust_env=address.hostname not in LOOPBACK,  # no proxy between us and an engine on this machine
            limits=httpx2.Limits(max_keepalive_connections=0),
            timeout=httpx2.Timeout(
                connect=CONNECT_SECONDS,
                # `_wait` ends a silent stream earlier
                read=max(self._first_seconds, self._silence_seconds) + 2 * POLL_SECONDS,
                write=CONNECT_SECONDS,
                pool=CONNECT_SECONDS,
            ),
        )

    def _tokenize(self, messages: Sequence[Message]) -> int | None:
        import httpx2

        body: dict[str, Any] = {"model": self.name, "messages": _plain(messages), "add_generation_prompt": True}
        if "chat_template_kwargs" in self._extra:
            body["chat_template_kwargs"] = self._extra["chat_template_kwargs"]
        try:
            with self._client() as client:
                return self._count(client, body)
        except httpx2.HTTPError:
            return None  # if the engine is down, the request for the answer reports it
        except (ValueError, KeyError, TypeError):
            self._tokenizes = False  # whatever answers there is no tokenizer
            return None

    def _count(self, client: httpx2.Client, body: Mapping[str, Any]) -> int | None:
        """The tokens of a chat as vLLM counts it, or of the text into which llama.cpp renders it."""
        if self._capabilities.tokenizer == "chat":
            response = self._post(client, "tokenize", body)
            return int(response["count"]) if response else None
        rendered = self._post(client, "apply-template", {"messages": body["messages"]})
        response = self._post(client, "tokenize", {"content": rendered["prompt"]}) if rendered else None
        return len(response["tokens"]) if response else None

    def _post(self, client: httpx2.Client, page: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a page beside the API, or None where it fails. A status that says the server has no such page
        turns counting off for good."""
        headers = {"Authorization": f"Bearer {self._api_key}"}
        url = f"{self._base_url.removesuffix('/v1')}/{page}"
        response = client.post(url, json=body, headers=headers, timeout=TOKENIZE_SECONDS)
        if response.status_code in NO_TOKENIZER:
            self._tokenizes = False
        return response.json() if response.is_success else None

    # ── the answer ───────────────────────────────────────────────────────────────────────────

    def _wait(self, stream: Stream, answer: _Answer, heartbeat: Heartbeat) -> None:
        """Waits until the stream ends, the guard hits, or the engine is silent for too long. A complete answer is
        returned even if the step must stop by now: it is paid for."""
        while not stream.ended(POLL_SECONDS):
            heartbeat.check()
            if time.monotonic() - answer.last_token > answer.silence_seconds:
                when = "after its last token" if answer.deltas else "before its first token"
                raise EngineFault(f"{self.name} was silent for {answer.silence_seconds:g} s {when}")
        if stream.error is None:
            return
        heartbeat.check()
        if isinstance(stream.error, EngineFault):
            raise stream.error
        raise self._fault(stream.error) from None

    def _on_event(self, event: Mapping[str, Any], answer: _Answer, heartbeat: Heartbeat) -> bool:
        """Handles one event, in the reader's thread; returns whether to go on. An event without a token is no progress,
        since a stream can stay open and bring nothing."""
        tokens = self._take(event, answer)
        if tokens:
            answer.last_token, answer.silence_seconds = time.monotonic(), self._silence_seconds
            heartbeat.beat(tokens)
            heartbeat.expect_silence(answer.silence_seconds)  # after the beat, which announces a shorter one
        return answer.hit is None

    def _take(self, event: Mapping[str, Any], answer: _Answer) -> int:
        """Adds one event of the stream to the answer; returns how many tokens (deltas) it brought."""
        if event.get("error"):
            raise self._fault(RuntimeError(error_message(event)))
        try:
            answer.usage = _usage(event) or answer.usage
            tokens = 0
            for choice in event.get("choices") or ():
                delta = choice.get("delta") or {}
                text = delta.get("content") or ""
                thought = delta.get("reasoning") or delta.get("reasoning_content") or ""
                answer.text += text
                answer.reasoning += thought
                answer.text_guard.feed(text)
                answer.thought_guard.feed(thought)
                tokens += bool(text or thought)
                answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        except (AttributeError, TypeError, ValueError) as error:
            raise EngineFault(f"{self.name} sent an event that is no part of an answer") from error
        answer.deltas += tokens
        return tokens

    def _end(self, answer: _Answer) -> _Answer:
        if answer.hit is not None:
            answer.finish_reason = "guard"
            return answer
        if not answer.finish_reason:
            raise EngineFault(f"{self.name} hung up in the middle of an answer")
        answer.text_guard.finish()
        answer.thought_guard.finish()
        return answer

    def _completion(self, request: ChatRequest, answer: _Answer, seconds: float) -> Completion:
        usage = answer.usage
        hit, looped = answer.hit, answer.text_guard.hit
        if answer.finish_reason == "repetition":
            hit = looped = engine_hit(answer.text or answer.reasoning)
        prompt_tokens = usage.get("prompt_tokens")
        text, led_in = apart(answer.text[: looped.at_char] if looped else answer.text)
        return Completion(
            text=chosen(text, request.choices) if request.choices and hit is None else text,
            finish_reason=answer.finish_reason,
            model=self.name,
            prompt_tokens=self.count_tokens(request.messages) if prompt_tokens is None else prompt_tokens,
            cached_tokens=usage.get("cached_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or answer.deltas,
            seconds=seconds,
            reasoning=answer.reasoning or led_in,
            guard=hit,
            engine=self._engine,
        )

    def _fault(self, error: Exception) -> EngineFault:
        """The fault as one line that never holds the key."""
        import openai

        match error:
            case openai.APIStatusError():
                reason = f"answered {error.status_code}: {error_message(error.body) or error.message}"
            case openai.APIError():
                reason = f"cannot be reached ({error.message})"
            case RuntimeError():
                reason = f"failed: {error}"
            case _:
                reason = f"broke off ({type(error).__name__}: {error})"
        line = " ".join(f"{self.name} {reason}".split())
        refused = isinstance(error, openai.BadRequestError) and TOO_LONG.search(line)
        kind = ContextExceeded if refused else EngineFault
        return kind((line.replace(self._api_key, "***") if self._api_key else line)[:MESSAGE_CHARS])


def _plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _part(attachment: Attachment, content: bytes) -> dict[str, Any]:
    data = base64.b64encode(content).decode()
    match attachment.modality:
        case Modality.IMAGE:
            return {"type": "image_url", "image_url": {"url": f"data:{attachment.media_type};base64,{data}"}}
        case Modality.AUDIO:
            return {
                "type": "input_audio",
                "input_audio": {"data": data, "format": SOUND_FORMATS[attachment.media_type]},
            }
        case Modality.TEXT:
            return {"type": "text", "text": content.decode()}
        case _:
            assert_never(attachment.modality)


def _estimate(attachment: Attachment) -> int:
    match attachment.modality:
        case Modality.IMAGE:
            return IMAGE_TOKENS
        case Modality.AUDIO:
            return attachment.bytes // SOUND_BYTES_PER_TOKEN
        case Modality.TEXT:
            return attachment.bytes // CHARS_PER_TOKEN
        case _:
            assert_never(attachment.modality)


def _usage(event: Mapping[str, Any]) -> dict[str, int]:
    """The counts of tokens in an event; none in most. Raises as `int` does where they are none."""
    usage = event.get("usage") or {}
    counts = {
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "cached_tokens": (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
    }
    return {name: int(count) for name, count in counts.items() if count is not None}


def _without_thoughts(extra: Mapping[str, Any]) -> dict[str, Any]:
    """vLLM restricts an answer to its choices only after the thoughts, and the few tokens of a word don't suffice for
    them. So thoughts are turned off where the template can."""
    template = extra.get("chat_template_kwargs", {})
    return {"chat_template_kwargs": {**template, "enable_thinking": False}} if "enable_thinking" in template else {}


def _no_file(attachment: Attachment) -> bytes:
    raise AttachmentLost(f"the attachment {attachment.name} cannot be read here")
