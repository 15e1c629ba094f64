"""One answer, put together from the events of its stream while the guard watches. It must not know how they arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.errors import EngineFault
from tasks.llm.guard import Guard, engine_hit
from tasks.llm.responsebody import error_message
from tasks.llm.thoughts import apart
from tasks.types import GuardHit


@dataclass(slots=True, kw_only=True)
class Answer:
    """What has arrived so far: its `usage` as the server counts it, and the number of `deltas` that brought text."""

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

    def take(self, event: Mapping[str, Any]) -> int:
        """Adds one event; returns how many tokens (deltas) it brought. Raises `EngineFault` where it is an error, or no
        part of an answer."""
        if event.get("error"):
            raise EngineFault(f"failed: {error_message(event)}")
        try:
            self.usage = _usage(event) or self.usage
            tokens = sum(self._take_choice(choice) for choice in event.get("choices") or ())
        except (AttributeError, TypeError, ValueError) as error:
            raise EngineFault("sent an event that is no part of an answer") from error
        self.deltas += tokens
        return tokens

    def _take_choice(self, choice: Mapping[str, Any]) -> int:
        delta = choice.get("delta") or {}
        text = delta.get("content") or ""
        thought = delta.get("reasoning") or delta.get("reasoning_content") or ""
        self.text += text
        self.reasoning += thought
        self.text_guard.feed(text)
        self.thought_guard.feed(thought)
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        return bool(text or thought)

    def end(self) -> None:
        """The stream has ended. Raises `EngineFault` where the answer had not."""
        if self.hit is not None:
            self.finish_reason = "guard"
            return
        if not self.finish_reason:
            raise EngineFault("hung up in the middle of an answer")
        self.text_guard.finish()
        self.thought_guard.finish()

    def result(self) -> tuple[str, str, GuardHit | None]:
        """The text, cut back to before a loop; the thoughts; the loop."""
        hit, looped = self.hit, self.text_guard.hit
        if self.finish_reason == "repetition":
            hit = looped = engine_hit(self.text or self.reasoning)
        text, led_in = apart(self.text[: looped.at_char] if looped else self.text)
        return text, self.reasoning or led_in, hit


def _usage(event: Mapping[str, Any]) -> dict[str, int]:
    """The counts of tokens in an event; none in most. Raises as `int` does where they are none."""
    usage = event.get("usage") or {}
    counts = {
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "cached_tokens": (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
    }
    return {name: int(count) for name, count in counts.items() if count is not None}
