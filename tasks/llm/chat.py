"""The client of an OpenAI-compatible server: it streams an answer, guards it meanwhile, and cancels at the engine.

A stalled stream is abandoned within `POLL_SECONDS`. It must not know jobs, prompts or budgets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.deadline import DEADLINE
from tasks.errors import AttachmentLost, EngineFault, LimitReached
from tasks.llm.answer import Answer, Result
from tasks.llm.capabilities import Capabilities, ThoughtForm, chosen
from tasks.llm.completeness import end_of
from tasks.llm.faults import engine_fault
from tasks.llm.requestbody import ChatTerms, Files, chat_body, expected_thoughts
from tasks.llm.stream import Stream, chat
from tasks.llm.thoughts import Thinking
from tasks.llm.tokenizer import ServerTokenizer
from tasks.ports import Heartbeat
from tasks.types import Attachment, ChatRequest, Completion, Message

if TYPE_CHECKING:
    import ssl

    import httpx2

POLL_SECONDS = 0.25
CONNECT_SECONDS = 10.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
OUR_OWN = Capabilities()
THOUGHTLESS = Thinking()


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
        files: Files | None = None,
        capabilities: Capabilities = OUR_OWN,
        thinking: Thinking = THOUGHTLESS,
    ) -> None:
        self.name, self.context_tokens = model, context_tokens
        self._base_url, self._api_key, self._engine = base_url.rstrip("/"), api_key, engine
        self._first_seconds, self._silence_seconds = first_token_seconds, token_silence_seconds
        self._files = files or _no_file
        self.thoughts = set[ThoughtForm]()  # where its answers have had their thoughts so far
        self._terms = ChatTerms(model=model, capabilities=capabilities, thinking=thinking, extra=dict(extra))
        self._tokenizer = ServerTokenizer(
            self._client, root=self._base_url.removesuffix("/v1"), api_key=api_key, terms=self._terms
        )
        self._tls: ssl.SSLContext | None = None

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        """One streamed answer. Raises `EngineFault` and what `heartbeat.check()` raises; both also stop the engine. A
        `LimitReached` ends the answer where it is."""
        heartbeat.check()
        begun, silence = time.monotonic(), _Silence(self._first_seconds, heartbeat)
        expected = expected_thoughts(request, self._terms, thinks="opened" in self.thoughts)
        answer = Answer(
            expected,
            runs_on=request.runs_on,
            end=partial(end_of, request),
            heard=lambda text, thought, anew: heartbeat.wrote(text, thought, anew=anew),
        )
        body, ended_by = chat_body(request, self._terms, self._files), ""
        stream = Stream(
            self._client(),
            self._base_url,
            self._api_key,
            chat(body),
            lambda event: self._on_event(event, answer, silence, heartbeat),
        )
        try:
            self._wait(stream, answer, silence, heartbeat)
        except LimitReached:
            ended_by = DEADLINE
        finally:
            stream.close()
        result = self._end(answer, ended_by)
        return self._completion(request, answer, result, time.monotonic() - begun)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Counted by the endpoint's own tokenizer where it has one, else estimated."""
        return self._tokenizer.count(messages)

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

    def _wait(self, stream: Stream, answer: Answer, silence: _Silence, heartbeat: Heartbeat) -> None:
        """Waits until the stream ends, the answer is complete, the guard hits, or the engine is silent for too long. A
        complete answer is returned even if the step must stop by now: it is paid for."""
        while not stream.ended(POLL_SECONDS):
            heartbeat.check()
            if silence.exceeded():
                when = "after its last token" if answer.deltas else "before its first token"
                raise EngineFault(f"{self.name} was silent for {silence.seconds:g} s {when}")
        if stream.error is None:
            return
        heartbeat.check()
        raise engine_fault(self.name, stream.error, self._api_key) from None

    def _on_event(self, event: Mapping[str, Any], answer: Answer, silence: _Silence, heartbeat: Heartbeat) -> bool:
        """Handles one event, in the reader's thread; returns whether to go on. An event without a token is no progress,
        since a stream can stay open and bring nothing."""
        tokens = answer.take(event)
        if tokens:
            heartbeat.beat(tokens)
            silence.begin(self._silence_seconds)  # after the beat, which announces a shorter one
        return answer.hit is None and not answer.complete

    def _end(self, answer: Answer, ended_by: str) -> Result:
        try:
            result = answer.end(ended_by)
        except EngineFault as fault:
            raise engine_fault(self.name, fault, self._api_key) from fault
        if answer.closed_alone:
            self.thoughts.add("opened")
        if answer.thinks_apart:
            self.thoughts.add("apart")
        return result

    def _completion(self, request: ChatRequest, answer: Answer, result: Result, seconds: float) -> Completion:
        usage, choosing = answer.usage, bool(request.choices) and result.hit is None
        prompt_tokens = usage.get("prompt_tokens")
        return Completion(
            text=chosen(result.text, request.choices) if choosing else result.text,
            finish_reason=answer.finish_reason,
            model=self.name,
            prompt_tokens=self.count_tokens(request.messages) if prompt_tokens is None else prompt_tokens,
            cached_tokens=usage.get("cached_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or answer.deltas,
            seconds=seconds,
            reasoning=result.thoughts,
            guard=result.hit,
            let_through=result.let_through,
            engine=self._engine,
        )


class _Silence:
    """How long the engine may be silent: `seconds` from the request at first, then from each token."""

    def __init__(self, seconds: float, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self.begin(seconds)

    def begin(self, seconds: float) -> None:
        """The engine may be silent for so long from now."""
        self._since, self.seconds = time.monotonic(), seconds
        self._heartbeat.expect_silence(seconds)

    def exceeded(self) -> bool:
        """Whether it was silent for longer."""
        return time.monotonic() - self._since > self.seconds


def _no_file(attachment: Attachment) -> bytes:
    raise AttachmentLost(f"the attachment {attachment.name} cannot be read here")
