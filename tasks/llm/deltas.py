"""What one event of a chat stream brings: text, thoughts, calls of tools, an end. Servers put each in several places.
Pure; it must not know what came before, but for text that is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Where thoughts are, beside the text: vLLM and SGLang, DeepSeek and llama.cpp, Ollama and LM Studio.
THOUGHT_FIELDS = ("reasoning", "reasoning_content", "thinking")
# Of a list of content parts: Mistral, Anthropic's form, OpenRouter.
THOUGHT_PARTS = frozenset({"thinking", "reasoning", "reasoning.text", "reasoning.summary", "thought"})
# What servers say instead of OpenAI's words. Mistral: https://docs.mistral.ai/api; TGI, Gemini and Anthropic otherwise.
FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "max_output_tokens": "length",
}
# Answers that the server broke off, and says so.
BROKEN_OFF = {
    "abort": "aborted the answer",
    "error": "broke the answer off",
    "content_filter": "cut the answer by its content filter",
    "safety": "cut the answer by its content filter",
    "recitation": "cut the answer by its content filter",
    "insufficient_system_resource": "had no resources left for the answer",
}
# A text that begins with all of the text before it this many times, or with so much of it, is sent again and again.
REPEATS, REPEATED_CHARS = 2, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One event's part of the answer. `whole` says that the server sends a whole message, not a part."""

    text: str = ""
    thought: str = ""
    calls_tool: bool = False
    finish_reason: str = ""
    whole: bool = False


def deltas(event: Mapping[str, Any]) -> Iterator[Delta]:
    """The parts of the answer in an event. Raises `TypeError`, `AttributeError` and `ValueError` where it is none."""
    for choice in event.get("choices") or ():
        if choice is None or choice.get("index"):  # one answer is requested
            continue
        delta, message = choice.get("delta"), choice.get("message")
        body = delta or message or {}
        text, thought = _divide(body.get("content"))
        reason = str(choice.get("finish_reason") or "")
        yield Delta(
            text=text or (choice.get("text") or ""),
            thought=_thought(body) or thought,
            calls_tool=bool(body.get("tool_calls") or body.get("function_call")),
            finish_reason=FINISH_REASONS.get(reason.lower(), reason),
            whole=bool(message) and not delta,
        )


def usage(event: Mapping[str, Any]) -> dict[str, int]:
    """The counts of tokens in an event; none in most. Raises as `int` does where they are none."""
    reported = event.get("usage") or {}
    counts = {
        "prompt_tokens": reported.get("prompt_tokens"),
        "completion_tokens": reported.get("completion_tokens"),
        "cached_tokens": (reported.get("prompt_tokens_details") or {}).get("cached_tokens"),
    }
    return {name: int(count) for name, count in counts.items() if count is not None}


def _thought(body: Mapping[str, Any]) -> str:
    for name in THOUGHT_FIELDS:
        if body.get(name):
            text, thought = _divide(body[name])
            return text or thought
    return _divide(body.get("reasoning_details"))[1]


def _divide(content: Any) -> tuple[str, str]:
    """Text and thoughts of a content: a string, a part, or a list of parts."""
    if not content:
        return "", ""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, Mapping):
        kind = str(content.get("type") or "text")
        inner = content.get("text") or content.get("thinking") or content.get("summary") or content.get("reasoning")
        text, thought = _divide(inner)
        return ("", text + thought) if kind in THOUGHT_PARTS else (text, thought)
    if isinstance(content, list):
        parts = [_divide(part) for part in content]
        return "".join(text for text, _ in parts), "".join(thought for _, thought in parts)
    raise TypeError(f"no content: {content!r}")


class Increments:
    """The new part of each text, where a server may send all of the text so far each time (DashScope without
    `incremental_output`: https://www.alibabacloud.com/help/en/model-studio/stream)."""

    def __init__(self) -> None:
        self._last, self._repeats, self._open, self._known = "", 0, True, False

    def new(self, text: str) -> tuple[bool, str]:
        """Whether `text` takes the place of all that came before, and what is new."""
        before, self._last = self._last, text or self._last
        if not self._open or not before or not text:
            return False, text
        if self._known:
            self._open = text.startswith(before)
            return False, text[len(before) :] if self._open else text
        self._open = len(text) > len(before) and text.startswith(before)
        self._repeats += self._open
        self._known = self._open and (self._repeats >= REPEATS or len(before) >= REPEATED_CHARS)
        return self._known, text
