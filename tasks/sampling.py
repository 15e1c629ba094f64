"""How a model is sampled: temperature, limits of tokens, seeds. Pure; must not know a prompt or a journal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.types import CallKey, CandidateRef, Operator


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The sampling of one model. Gemma 4's own card: temperature 1.0, top-p 0.95, top-k 64. `first_temperature`, where
    set, is that of a job's very first draft."""

    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 64
    answer_tokens: int = 4096
    review_tokens: int = 1024
    lesson_tokens: int = 256
    thinking_tokens: int = 0
    first_temperature: float | None = None

    def completion_tokens(self, operator: Operator) -> int:
        """The most tokens that the answer to such a call may have."""
        match operator:
            case Operator.REVIEW | Operator.JUDGE | Operator.INPUTS:
                return self.review_tokens
            case Operator.DISTIL | Operator.ASK:
                return self.lesson_tokens
            case _:
                return self.answer_tokens

    def reasoning_tokens(self, operator: Operator) -> int:
        """The most tokens that the model may think before it answers. A lesson is three lines about what is known."""
        return 0 if operator is Operator.DISTIL else self.thinking_tokens


def is_first_draft(key: CallKey) -> bool:
    """Whether the call writes the first slot of a job's first iteration."""
    return key.operator is Operator.DRAFT and key.iteration == 1 and key.slot == 0


def drawn(seed: int, key: CallKey, refs: Sequence[CandidateRef], most: int) -> tuple[CandidateRef, ...]:
    """At most `most` of `refs` in an order that is a function of the job's seed and the call's key."""
    base = call_seed(seed, key)
    return tuple(sorted(refs, key=lambda ref: hashlib.sha256(f"{base}:{ref}".encode()).digest())[:most])


def call_seed(seed: int, key: CallKey) -> int:
    """A seed in [0, 2^31) that is a function of the job's seed and the call's key, so that a run can be repeated."""
    name = f"{seed}:{key.iteration}:{key.operator}:{key.slot}:{key.attempt}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1
