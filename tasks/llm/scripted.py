"""A chat model that answers by a function: the twin of the real client, for tests and simulations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tasks.llm.guard import Guard
from tasks.ports import Pulse
from tasks.types import ChatRequest, Completion, Message

CHARS_PER_TOKEN = 4


class ScriptedModel:
    """Streams `answer(request)` in chunks through the guard and the pulse, as the real client does.

    `answer` may raise an `EngineFault`. `delay_seconds` is waited before each chunk.
    """

    def __init__(
        self,
        answer: Callable[[ChatRequest], str],
        *,
        name: str = "scripted",
        context_tokens: int = 8192,
        delay_seconds: float = 0.0,
    ) -> None:
        self.name, self.context_tokens = name, context_tokens
        self._answer, self._delay = answer, delay_seconds

    def complete(self, request: ChatRequest, pulse: Pulse) -> Completion:
        """The scripted answer. Raises what `answer` and `pulse` raise."""
        pulse.check()
        text, said, guard = self._answer(request), "", Guard()
        limit = request.max_tokens * CHARS_PER_TOKEN
        for start in range(0, min(len(text), limit), CHARS_PER_TOKEN):
            if self._delay:
                time.sleep(self._delay)
            pulse.check()
            pulse.beat(1)
            said += text[start : start + CHARS_PER_TOKEN]
            if guard.feed(text[start : start + CHARS_PER_TOKEN]):
                break
        hit = guard.hit
        return Completion(
            text=said[: hit.at_char] if hit else said,
            finish_reason="guard" if hit else "stop" if len(text) <= limit else "length",
            model=self.name,
            prompt_tokens=self.count_tokens(request.messages),
            cached_tokens=0,
            completion_tokens=-(-len(said) // CHARS_PER_TOKEN),
            seconds=0.0,
            guard=hit,
            engine="scripted",
        )

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """A quarter of the characters, rounded up."""
        return sum(-(-len(message.content) // CHARS_PER_TOKEN) for message in messages)
