"""A model's thoughts: the fields of a request that turn them on or off, and where they are to be expected. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Where the thoughts of one answer are to be.

    `thinks`: the model was asked to think, or has shown that it does. `in_reasoning`: an answer without text stands in
    the field for thoughts. `prompt_opens`: the chat template opens the thoughts, so that the text begins within them.
    `unknown`: nothing is known of this server's thoughts. The answer to a choice is one of the `choices`, without
    thoughts.
    """

    thinks: bool = False
    in_reasoning: bool = False
    prompt_opens: bool = False
    unknown: bool = False
    choices: tuple[str, ...] = ()
