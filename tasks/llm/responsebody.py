"""The bodies of the Responses API: the request as JSON, and how a response or an error is parsed. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.llm.refusals import Refusal, error_codes, unrun
from tasks.types import CloudAnswer, CloudEnd, Health, Usage

MESSAGE_CHARS = 300
NO_USAGE = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)
ENDS = {"completed": CloudEnd.COMPLETED, "incomplete": CloudEnd.INCOMPLETE, "failed": CloudEnd.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudTerms:
    """The fixed part of each cloud request: model, reasoning effort, the most tokens out, thoughts included; of the
    `tier` flex the API may take its time, for about half the price. `cache` says whose requests share the provider's
    prompt cache: a job's, an owner's, or none."""

    model: str
    effort: str
    output_tokens: int
    store: bool = False
    tier: str = "default"
    cache: str = "job"


def request_json(terms: CloudTerms, *, instructions: str, prompt: str, cache_key: str) -> str:
    """A request's body as it is sent: no clock and no randomness. `cache_key`, where there is one, groups requests."""
    body = {
        "model": terms.model,
        "instructions": instructions,
        "input": prompt,
        "reasoning": {"effort": terms.effort},
        "max_output_tokens": terms.output_tokens,
        "background": True,
        "stream": True,
        "store": terms.store,
        "service_tier": terms.tier,  # a project's own default may be a tier of other prices
        **({"prompt_cache_key": cache_key} if cache_key else {}),
    }
    return json.dumps(body, sort_keys=True, ensure_ascii=False)


def chat_json(terms: CloudTerms, instructions: str, prompt: str, cache_key: str) -> str:
    """The same for a chat endpoint: only what every server knows, so without effort, store, tier and key."""
    body = {
        "model": terms.model,
        "messages": [{"role": "system", "content": instructions}, {"role": "user", "content": prompt}],
        "max_tokens": terms.output_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(body, sort_keys=True, ensure_ascii=False)


def ended(response: Mapping[str, Any], seconds: float) -> CloudAnswer | None:
    """The answer of a response that has ended; None while it is queued or in progress. Unknown fields are ignored."""
    try:
        return _read(response, seconds)
    except (AttributeError, TypeError, ValueError) as error:
        return CloudAnswer(end=CloudEnd.FAILED, error=f"its answer can't be read ({error})"[:MESSAGE_CHARS])


def _read(response: Mapping[str, Any], seconds: float) -> CloudAnswer | None:
    status = response.get("status")
    end = CloudEnd.CANCELLED if status == "cancelled" else ENDS.get(str(status))
    if end is None:
        return None
    text, usage = _text(response), _usage(response.get("usage"))
    if usage == NO_USAGE and response.get("output"):  # it has made something, and counts none of it
        usage = None
    refused = _failure(response, usage) if end is CloudEnd.FAILED else None
    return CloudAnswer(
        end=refused.end if refused else end,
        model=str(response.get("model") or ""),
        text=text,
        usage=usage,
        error=" ".join(_why(response, end, text).split())[:MESSAGE_CHARS]
        or ("" if end is CloudEnd.COMPLETED else str(end)),
        seconds=seconds,
        health=refused.health if refused else Health.WELL,
    )


def _failure(response: Mapping[str, Any], usage: Usage | None) -> Refusal | None:
    """What a response that failed says: where it used nothing and has no output, that the model was not run."""
    codes = error_codes(response)
    refused = None if usage not in (None, NO_USAGE) or response.get("output") else unrun(codes)
    fault = Refusal(end=CloudEnd.FAILED, health=Health.FAULT) if "server_error" in codes else None
    return refused or fault


def _why(response: Mapping[str, Any], end: CloudEnd, text: str) -> str:
    """Why there is no answer; nothing where there is one."""
    if end is CloudEnd.COMPLETED:
        said = "".join(_parts(response, "refusal"))
        return f"the model refused: {said}" if said and not text.strip() else ""
    details = response.get("incomplete_details") or {}
    return error_message(response) or (f"incomplete: {details.get('reason')}" if end is CloudEnd.INCOMPLETE else "")


def _text(response: Mapping[str, Any]) -> str:
    """The model's text without its thoughts; a refusal is no answer."""
    return "".join(_parts(response, "output_text"))


def _parts(response: Mapping[str, Any], kind: str) -> list[str]:
    messages = (item for item in response.get("output") or () if item.get("type") == "message")
    parts = (part for message in messages for part in message.get("content") or () if part.get("type") == kind)
    return [str(part.get("text") or part.get("refusal") or "") for part in parts]


def _usage(usage: Mapping[str, Any] | None) -> Usage | None:
    if not usage:
        return None
    return Usage(
        prompt_tokens=int(usage.get("input_tokens") or 0),
        cached_tokens=int((usage.get("input_tokens_details") or {}).get("cached_tokens") or 0),
        completion_tokens=int(usage.get("output_tokens") or 0),
    )


def describe_error(error: Exception) -> str:
    """Why a request failed, as text; the caller removes keys from it."""
    import openai

    match error:
        case openai.APIStatusError():
            return f"the cloud answered {error.status_code}: {error_message(error.body) or error.message}"
        case openai.APIError():
            return f"the cloud can't be reached ({error.message}: {error.__cause__ or 'no more is known'})"
        case _:
            return f"the request broke off ({type(error).__name__}: {error})"


def error_message(body: object) -> str:
    """The message of an error event, of a response, or of an HTTP error's body."""
    if not isinstance(body, Mapping):
        return ""
    inner = body.get("error", body)
    return str(inner.get("message") or "") if isinstance(inner, Mapping) else str(inner or "")
