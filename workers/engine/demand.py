"""The arithmetic of an engine's memory: weights, a drafter, and KV per token. Pure; knows neither GPUs nor flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

KvDtype = Literal["auto", "fp8"]

KIB_PER_GIB = 1 << 20
# More sequences at once than this gain little throughput and slow down each other.
MOST_SEQUENCES = 64


class Memory(BaseModel):
    """The memory that a model needs, in GiB and KiB. Weights and KV are split over GPUs, overhead is not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights_gib: float = Field(gt=0)
    # K and V of the layers with full attention, in 16 bits.
    kv_kib_per_token: float = Field(gt=0)
    # The part of a sequence that does not grow with its length (the KV of sliding-window layers), in 16 bits.
    sequence_gib: float = Field(default=0.0, ge=0)
    # CUDA context, activations and graphs, on each GPU.
    overhead_gib: float = Field(default=2.0, ge=0)
    # Average tokens of a sequence without the shared prefix, to compute --max-num-seqs.
    live_tokens: int = Field(default=16_384, gt=0)
    # Tensor parallelism splits along the heads; with more GPUs than KV heads, some hold copies.
    heads: int = Field(default=32, gt=0)
    kv_heads: int = Field(default=32, gt=0)
    # llama.cpp splits a model over cards by whole layers.
    layers: int = Field(default=32, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The memory that a profile needs: the model's, a drafter's weights, and the width of KV numbers."""

    memory: Memory
    drafter_gib: float = 0.0
    kv_dtype: KvDtype = "auto"

    def sequence_gib(self, tokens: int) -> float:
        """The KV of one sequence of `tokens`, over all GPUs."""
        gib = self.memory.sequence_gib + tokens * self.memory.kv_kib_per_token / KIB_PER_GIB
        return gib / 2 if self.kv_dtype == "fp8" else gib

    def need_gib(self, tokens: int, cards: int) -> float:
        """The memory needed on each of `cards` GPUs with one sequence of `tokens`."""
        kv = self.sequence_gib(tokens) / min(cards, self.memory.kv_heads)
        return (self.memory.weights_gib + self.drafter_gib) / cards + kv + self.memory.overhead_gib

    def room_gib(self, usable_gib: float, cards: int) -> float:
        """The memory left for KV, over all `cards`, if `usable_gib` are usable on each."""
        each = usable_gib - self.memory.overhead_gib - (self.memory.weights_gib + self.drafter_gib) / cards
        return max(0.0, each * min(cards, self.memory.kv_heads))

    def sequences(self, usable_gib: float, cards: int) -> int:
        """How many sequences of `live_tokens` fit into the memory left for KV, between 1 and 64."""
        each = self.sequence_gib(self.memory.live_tokens)
        return max(1, min(MOST_SEQUENCES, int(self.room_gib(usable_gib, cards) / each)))

    def words(self, tokens: int) -> str:
        """The sum in words, before it is shared by cards."""
        drafter = f" + {self.drafter_gib:g} drafter" if self.drafter_gib else ""
        narrow = " in fp8" if self.kv_dtype == "fp8" else ""
        kv = f"{self.sequence_gib(tokens):.1f} KV for {tokens} tokens{narrow}"
        return f"{self.memory.weights_gib:g} weights{drafter} + {kv} + {self.memory.overhead_gib:g} a card"
