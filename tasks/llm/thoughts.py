"""Thoughts of a model beside its answer: how it is told to have them, and how they are told apart. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Servers without a parser of thoughts send them at the beginning of the answer.
_LED_IN = re.compile(r"\A\s*<think>(.*?)(?:</think>\s*|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """What a request's body says so that the model thinks, or doesn't. `budget` names the field that bounds its
    thoughts in tokens, empty where the server has none."""

    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    budget: str = ""

    def fields(self, tokens: int) -> dict[str, Any]:
        """For at most so many tokens of thought, none where that is 0."""
        if not tokens:
            return dict(self.off)
        return {**self.on, **({self.budget: tokens} if self.budget else {})}


def apart(text: str) -> tuple[str, str]:
    """The answer and the thoughts that lead it in; thoughts that never end are no answer."""
    match = _LED_IN.match(text)
    return (text[match.end() :], match[1].strip()) if match else (text, "")
