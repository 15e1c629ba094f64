"""The arithmetic of GPU memory: weights, a drafter, KV for so many tokens. Pure; knows neither cards nor flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

KvDtype = Literal["auto", "fp8"]

KIB_PER_GIB = 1 << 20
# More sequences at once than this gain little, and each is a turn's wait for the others.
MOST_SEQUENCES = 64


class Memory(BaseModel):
    """What a model takes on GPUs, in GiB and KiB; weights and KV are shared evenly by the cards, overhead is not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights_gib: float = Field(gt=0)
    # Of the layers that attend to everything, K and V, in 16 bits.
    kv_kib_per_token: float = Field(gt=0)
    # What a sequence takes whatever its length (the KV of sliding-window layers), in 16 bits.
    sequence_gib: float = Field(default=0.0, ge=0)
    # CUDA's context, activations, graphs: on each card.
    overhead_gib: float = Field(default=2.0, ge=0)
    # Tokens that a sequence holds for itself on average, the shared prefix apart: for --max-num-seqs.
    live_tokens: int = Field(default=16_384, gt=0)
    # Tensor parallelism cuts along the heads; more cards than KV heads hold copies of them.
    heads: int = Field(default=32, gt=0)
    kv_heads: int = Field(default=32, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one way to serve a model takes: its memory, a drafter's weights, and the width of the KV's numbers."""

    memory: Memory
    drafter_gib: float = 0.0
    kv_dtype: KvDtype = "auto"

    def sequence_gib(self, tokens: int) -> float:
        """The KV of one sequence of so many tokens, all cards together."""
        whole = self.memory.sequence_gib + tokens * self.memory.kv_kib_per_token / KIB_PER_GIB
        return whole / 2 if self.kv_dtype == "fp8" else whole

    def need_gib(self, tokens: int, cards: int) -> float:
        """On each card, with one sequence of so many tokens."""
        kv = self.sequence_gib(tokens) / min(cards, self.memory.kv_heads)
        return (self.memory.weights_gib + self.drafter_gib) / cards + kv + self.memory.overhead_gib

    def room_gib(self, usable_gib: float, cards: int) -> float:
        """What is left for KV of `usable_gib` on each of `cards`."""
        each = usable_gib - self.memory.overhead_gib - (self.memory.weights_gib + self.drafter_gib) / cards
        return max(0.0, each * min(cards, self.memory.kv_heads))

    def sequences(self, usable_gib: float, cards: int) -> int:
        """How many sequences of `live_tokens` the room holds, between 1 and 64."""
        each = self.sequence_gib(self.memory.live_tokens)
        return max(1, min(MOST_SEQUENCES, int(self.room_gib(usable_gib, cards) / each)))

    def words(self, tokens: int) -> str:
        """The sum in words, before it is shared by cards."""
        drafter = f" + {self.drafter_gib:g} drafter" if self.drafter_gib else ""
        narrow = " in fp8" if self.kv_dtype == "fp8" else ""
        kv = f"{self.sequence_gib(tokens):.1f} KV for {tokens} tokens{narrow}"
        return f"{self.memory.weights_gib:g} weights{drafter} + {kv} + {self.memory.overhead_gib:g} a card"
