"""The client of an OpenAI-compatible server: streams, guards while it streams, cancels at the engine."""

from __future__ import annotations

import json
import queue
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openai import APIError, APIStatusError, OpenAI

from tasks.errors import EngineFault
from tasks.llm.guard import Guard
from tasks.ports import Pulse
from tasks.types import ChatRequest, Completion, GuardHit, GuardKind, Message

# A stop must be noticed even while no token comes.
POLL_SECONDS = 0.25
CONNECT_SECONDS = 10.0
# Without a tokenizer at the endpoint: fewer characters a token than any model's text has, so rather too many.
CHARS_PER_TOKEN = 3


@dataclass(slots=True, kw_only=True)
class _Said:
    """What has been received so far."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    deltas: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int | None = None


class OpenAIChatModel:
    """Implements `tasks.ports.ChatModel`. Safe to share between threads.

    Parameters: `base_url` ends in /v1; `extra` goes into each request's body; `engine` describes the server
    for the journal; the silences are in seconds.
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
    ) -> None:
        self.name, self.context_tokens = model, context_tokens
        self._first, self._silence = first_token_seconds, token_silence_seconds
        self._extra, self._engine = dict(extra), engine
        self._tokenize = base_url.rstrip("/").removesuffix("/v1") + "/tokenize"
        self._can_tokenize = True
        self._client = OpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=first_token_seconds)

    def complete(self, request: ChatRequest, pulse: Pulse) -> Completion:
        """One streamed answer. Raises `EngineFault`, and what `pulse.check()` raises; then the engine stops."""
        pulse.check()
        pulse.expect_silence(self._first)
        started = time.monotonic()
        chunks: queue.Queue[Any] = queue.Queue()
        left = threading.Event()
        reader = threading.Thread(target=self._read, args=(request, chunks, left), name="stream", daemon=True)
        reader.start()
        said, guard = _Said(), Guard()
        try:
            self._listen(chunks, said, guard, pulse)
        finally:
            left.set()  # the reader closes the stream at the next chunk: the engine aborts the request
        return self._completion(request, said, guard, time.monotonic() - started)

    def _read(self, request: ChatRequest, chunks: queue.Queue[Any], left: threading.Event) -> None:
        """Puts each chunk into the queue, then None, or the error that ended the stream."""
        body: dict[str, Any] = {"top_k": request.top_k, **self._extra}
        if request.choices:
            body["structured_outputs"] = {"choice": list(request.choices)}
        try:
            messages: Any = [{"role": m.role, "content": m.content} for m in request.messages]
            stream = self._client.chat.completions.create(
                model=self.name,
                messages=messages,
                temperature=request.temperature,
                top_p=request.top_p,
                max_tokens=request.max_tokens,
                seed=request.seed,
                stream=True,
                stream_options={"include_usage": True},
                extra_body=body,
            )
            with stream:
                for chunk in stream:
                    if left.is_set():
                        return
                    chunks.put(chunk)
            chunks.put(None)
        except Exception as error:  # noqa: BLE001 - it goes to the thread that waits, which explains it
            chunks.put(error)

    def _listen(self, chunks: queue.Queue[Any], said: _Said, guard: Guard, pulse: Pulse) -> None:
        deadline = time.monotonic() + self._first
        while guard.hit is None:
            pulse.check()
            try:
                chunk = chunks.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if time.monotonic() > deadline:
                    raise EngineFault(f"{self.name} was silent for too long") from None
                continue
            if isinstance(chunk, Exception):
                raise _fault(self.name, chunk)
            if chunk is None:
                if not said.finish_reason:
                    raise EngineFault(f"{self.name} ended its answer half-way")
                return
            self._take(chunk, said, guard)
            pulse.beat(1)
            pulse.expect_silence(self._silence)
            deadline = time.monotonic() + self._silence

    @staticmethod
    def _take(chunk: Any, said: _Said, guard: Guard) -> None:
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            said.prompt_tokens, said.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            details = usage.prompt_tokens_details
            said.cached_tokens = (details.cached_tokens or 0) if details else 0
        for choice in chunk.choices or ():
            delta = choice.delta
            thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None) or ""
            said.reasoning += thought
            if delta.content:
                said.text += delta.content
                guard.feed(delta.content)
            said.deltas += bool(delta.content or thought)
            said.finish_reason = choice.finish_reason or said.finish_reason

    def _completion(self, request: ChatRequest, said: _Said, guard: Guard, seconds: float) -> Completion:
        hit = guard.hit
        if hit is None and said.finish_reason == "repetition":
            hit = GuardHit(kind=GuardKind.ENGINE, at_char=len(said.text), copies=0, period_chars=0)
        prompt = said.prompt_tokens if said.prompt_tokens is not None else self.count_tokens(request.messages)
        return Completion(
            text=said.text[: hit.at_char] if hit else said.text,
            finish_reason="guard" if guard.hit else said.finish_reason,
            model=self.name,
            prompt_tokens=prompt,
            cached_tokens=said.cached_tokens,
            completion_tokens=said.completion_tokens if said.completion_tokens is not None else said.deltas,
            seconds=seconds,
            reasoning=said.reasoning,
            guard=hit,
            engine=self._engine,
        )

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """By the endpoint's own tokenizer where it has one (vLLM), else an estimate that is rather too high."""
        if self._can_tokenize:
            body = {"model": self.name, "messages": [{"role": m.role, "content": m.content} for m in messages]}
            request = urllib.request.Request(  # noqa: S310 - the operator's own endpoint
                self._tokenize, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response:  # noqa: S310
                    return int(json.load(response)["count"])
            except (OSError, ValueError, KeyError):
                self._can_tokenize = False
        return sum(len(message.content) // CHARS_PER_TOKEN + 4 for message in messages)


def _fault(model: str, error: Exception) -> EngineFault:
    """One line, without headers or keys."""
    if isinstance(error, APIStatusError):
        body = error.body if isinstance(error.body, dict) else {}
        said = str(body.get("message") or error.message).split("\n")[0][:300]
        return EngineFault(f"{model} answered {error.status_code}: {said}")
    if isinstance(error, APIError):
        return EngineFault(f"{model}: {type(error).__name__}: {error.message.splitlines()[0][:200]}")
    return EngineFault(f"{model}: the stream broke ({type(error).__name__})")
