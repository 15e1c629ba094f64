"""A model's thoughts: the request fields that turn them on or off, and how they are separated from the answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Servers without a reasoning parser send the thoughts at the beginning of the answer.
_LEADING_THOUGHTS = re.compile(r"\A\s*<think>(.*?)(?:</think>\s*|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """The fields of a request's body with which the model thinks (`on`) or doesn't (`off`). `budget` names the field
    that limits the thoughts in tokens, empty where the server has none."""

    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    budget: str = ""

    def fields(self, tokens: int) -> dict[str, Any]:
        """The fields for at most `tokens` of thought; 0 turns thoughts off."""
        if not tokens:
            return dict(self.off)
        return {**self.on, **({self.budget: tokens} if self.budget else {})}


def apart(text: str) -> tuple[str, str]:
    """The answer and the thoughts before it. Thoughts that never end leave an empty answer."""
    match = _LEADING_THOUGHTS.match(text)
    return (text[match.end() :], match[1].strip()) if match else (text, "")
