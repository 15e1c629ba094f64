"""Queries an OpenAI-compatible server: its pages, and a canary prompt."""

from __future__ import annotations

import json
import re
from typing import Any

from tasks.errors import CanaryFailed, EngineFault
from workers.engine.load import read_load
from workers.http_client import RequestFailed, public_url, request

CANARY_TOKENS = 16
# A cold engine compiles and warms up at its first prompt.
CANARY_SECONDS = 120.0
# A sane answer of sixteen tokens never consists of one word this many times.
_ONE_WORD_ONLY = 6


def fetch(url: str, *, key: str = "", body: dict[str, Any] | None = None, seconds: float = 5.0) -> Any:
    """GET, or POST of a JSON body; the parsed answer, None where it is empty. Raises `EngineFault`."""
    try:
        text = request(url, key=key, body=body, seconds=seconds)
        return json.loads(text) if text.strip() else None
    except (RequestFailed, ValueError) as error:
        raise EngineFault(str(error) if isinstance(error, RequestFailed) else f"{public_url(url)}: {error}") from error


def canary(
    url: str, model: str, *, prompt: str, pattern: str = "", key: str = "", seconds: float = CANARY_SECONDS
) -> None:
    """Sends a short greedy prompt, whose answer must be words and match `pattern`.

    Raises `CanaryFailed`: broken kernels and wrong quantizations answer garbage with status 200 (vllm#39407). Raises
    `EngineFault` where no answer comes.
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": CANARY_TOKENS,
    }
    answer = fetch(f"{url}/chat/completions", key=key, body=body, seconds=seconds)
    try:
        message = answer["choices"][0]["message"]
        # A model that thinks first may not come to its answer within so few tokens.
        text = message.get("content") or message.get("reasoning") or message.get("reasoning_content") or ""
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise CanaryFailed(f"the canary's answer has no text: {str(answer)[:200]}") from error
    if not sane(text) or not re.search(pattern, text):
        raise CanaryFailed(f"the canary's answer is wrong: {prompt!r} was answered {text[:80]!r}")


def sane(text: str) -> bool:
    """Whether a short answer is readable text without unprintable characters, not one word or character repeated."""
    words = text.split()
    if not any(character.isalnum() for character in text) or "\ufffd" in text:
        return False
    if not all(character.isprintable() or character.isspace() for character in text):
        return False
    if len(words) >= _ONE_WORD_ONLY and len(set(words)) == 1:
        return False
    return re.search(r"(\S)\1{7}", text) is None


def counted(root: str) -> float | None:
    """The tokens and steps that an engine has computed so far, by its own counters; None where it doesn't report them.
    llama.cpp counts the tokens of an answer only when that ends."""
    load = read_load(root)
    return load.tokens + load.steps if load else None
