"""A chat model whose answers are a function of the request: the twin of a real one, for tests and dry runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from tasks.deadline import DEADLINE
from tasks.errors import LimitReached
from tasks.llm.completeness import end_of
from tasks.llm.guard import Guard
from tasks.ports import Heartbeat
from tasks.types import ChatRequest, Completion, Message

CHUNK_CHARS = 16
CHARS_PER_TOKEN = 4


class ScriptedModel:
    """Implements `ChatModel`. Streams `answer(request)` in chunks through a guard, `delay_seconds` before each.

    Each call takes one item from `faults` first: an exception is raised, None lets the call pass.
    """

    def __init__(
        self,
        answer: Callable[[ChatRequest], str],
        *,
        name: str = "scripted",
        context_tokens: int = 8192,
        delay_seconds: float = 0.0,
        faults: Iterator[Exception | None] | None = None,
    ) -> None:
        self.name, self.context_tokens = name, context_tokens
        self._answer, self._delay_seconds = answer, delay_seconds
        self._faults: Iterator[Exception | None] = iter(()) if faults is None else faults

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        """The scripted answer, cut at `max_tokens` or where the guard hits. Raises the next fault."""
        fault = next(self._faults, None)
        if fault is not None:
            raise fault
        started = time.monotonic()
        text = self._answer(request)
        limited = text[: request.max_tokens * CHARS_PER_TOKEN]
        guard, streamed, late = Guard(runs_on=request.runs_on), "", False
        complete = end_of(request)
        for start in range(0, len(limited), CHUNK_CHARS):
            try:
                heartbeat.check()
            except LimitReached:
                late = True
                break
            if self._delay_seconds:
                time.sleep(self._delay_seconds)
            chunk = limited[start : start + CHUNK_CHARS]
            streamed += chunk
            heartbeat.beat(_tokens(chunk))
            if guard.feed(chunk):
                break
            if complete and (end := complete.feed(streamed)) is not None:
                streamed = limited = text = streamed[:end]
                break
        hit = guard.finish(at_limit=streamed == limited != text)
        finish = "guard" if hit else DEADLINE if late else "stop" if limited == text else "length"
        return Completion(
            text=streamed[: hit.at_char] if hit else streamed,
            finish_reason=finish,
            model=self.name,
            prompt_tokens=self.count_tokens(request.messages),
            cached_tokens=0,
            completion_tokens=_tokens(streamed),
            seconds=time.monotonic() - started,
            guard=hit,
            let_through=None if hit else guard.let_through,
            engine="scripted",
        )

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Four characters are one token."""
        return sum(_tokens(message.content) for message in messages)


def _tokens(text: str) -> int:
    return len(text) // CHARS_PER_TOKEN
