"""The body of a chat request as the server takes it. It must not know how the request is sent, nor what is answered."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from tasks.llm.capabilities import SCHEMA_TOKENS, Capabilities, choice_field
from tasks.llm.thoughts import Expectation, Thinking
from tasks.types import Attachment, ChatRequest, Message, Modality

# OpenAI's names of the two formats.
SOUND_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3"}
# The engine's own repetition detection, which would end what is let run on.
ENGINES_NET = "repetition_detection"
Files = Callable[[Attachment], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTerms:
    """What all requests to one model have in common: `capabilities` is what its server supports, `thinking` holds the
    fields that make the model think, `extra` goes into each body."""

    model: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    thinking: Thinking = field(default_factory=Thinking)
    extra: Mapping[str, Any] = field(default_factory=dict)


def chat_body(request: ChatRequest, terms: ChatTerms, files: Files) -> dict[str, Any]:
    """The arguments of the client's `create`; `files` reads an attachment, and raises `AttachmentLost`."""
    capabilities, extra = terms.capabilities, {**terms.extra, **terms.thinking.fields(request.thinking_tokens)}
    if request.runs_on:
        extra.pop(ENGINES_NET, None)
    if capabilities.top_k:
        extra["top_k"] = request.top_k
    if request.choices:
        extra |= choice_field(capabilities.choices, request.choices) | _without_thoughts(extra)
    if capabilities.stream_usage:
        extra["stream_options"] = {"include_usage": True}
    return {
        "model": terms.model,
        "messages": [_with_files(message, files) for message in request.messages],
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": _answer_tokens(request, capabilities) + request.thinking_tokens,
        "seed": request.seed,
        "stream": True,
        "extra_body": extra,
    }


def expected_thoughts(request: ChatRequest, terms: ChatTerms, *, thinks: bool) -> Expectation:
    """Where the thoughts of its answer are to be; `thinks` says that the model has shown thoughts in its text."""
    thinking, form = terms.thinking, terms.capabilities.thoughts
    off = bool(thinking.off) and not request.thinking_tokens
    return Expectation(
        thinks=bool(thinking.on and request.thinking_tokens) or (thinks and not off),
        in_reasoning=off or form == "swapped",
        prompt_opens=form == "opened" and not off,
        unknown=form == "unknown" and not off,
        choices=request.choices,
    )


def _answer_tokens(request: ChatRequest, capabilities: Capabilities) -> int:
    by_schema = bool(request.choices) and capabilities.choices == "json_schema"
    return request.max_tokens + (SCHEMA_TOKENS if by_schema else 0)


def _with_files(message: Message, files: Files) -> dict[str, Any]:
    """The message as OpenAI's content parts where it has attachments: these come first, as model cards advise."""
    if not message.attachments:
        return {"role": message.role, "content": message.content}
    parts = [_part(attachment, files(attachment)) for attachment in message.attachments]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.content}]}


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


def _without_thoughts(extra: Mapping[str, Any]) -> dict[str, Any]:
    """vLLM restricts an answer to its choices only after the thoughts, and the few tokens of a word don't suffice for
    them. So thoughts are turned off where the template can."""
    template = extra.get("chat_template_kwargs", {})
    return {"chat_template_kwargs": {**template, "enable_thinking": False}} if "enable_thinking" in template else {}
