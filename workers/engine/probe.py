"""Asking an OpenAI-compatible server whether it is well: its health, its models, a canary prompt."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tasks.errors import EngineFault

CANARY = "Say hello."
CANARY_TOKENS = 16
# A cold engine compiles and warms up at its first prompt.
CANARY_SECONDS = 120.0


def fetch(url: str, *, key: str = "", body: dict[str, Any] | None = None, seconds: float = 5.0) -> Any:
    """GET, or POST of a JSON body; the parsed answer, None where it is empty. Raises `EngineFault`."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - the operator named it
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310
            text = response.read().decode()
        return json.loads(text) if text.strip() else None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise EngineFault(f"{url}: {error}") from error


def canary(url: str, model: str, *, key: str = "") -> None:
    """A short greedy prompt whose answer must be words. Raises `EngineFault`: broken kernels and wrong
    quantizations answer garbage with status 200 (vllm#39407)."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": CANARY}],
        "temperature": 0,
        "max_tokens": CANARY_TOKENS,
    }
    answer = fetch(f"{url}/chat/completions", key=key, body=body, seconds=CANARY_SECONDS)
    try:
        text = answer["choices"][0]["message"]["content"] or ""
    except (KeyError, IndexError, TypeError) as error:
        raise EngineFault(f"the canary's answer has no text: {str(answer)[:200]}") from error
    if not sane(text):
        raise EngineFault(f"the canary's answer is no text: {text[:80]!r}")


def sane(text: str) -> bool:
    """Whether a short answer is made of words: some letters, nothing unprintable, not one character over and over."""
    letters = [character for character in text if character.isalpha()]
    return len(letters) >= 2 and len(set(letters)) >= 2 and "\ufffd" not in text and "!!!!" not in text
