"""What the cloud's models cost, and what a request can cost at most. Pure, and in exact decimals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_UP, Decimal

from tasks.errors import InvalidInput
from tasks.types import Usage

MILLION = Decimal(1_000_000)
# As the database keeps it. Rounded up, so that a settled charge never passes its reservation by a rounding.
SMALLEST = Decimal("0.000001")
# A prompt of more tokens than this is charged as long, whole.
LONG_PROMPT_TOKENS = 272_000
LONG_INPUT, LONG_OUTPUT = Decimal(2), Decimal("1.5")
# What the API adds to a prompt: roles and separators.
FRAME_TOKENS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """USD for a million tokens of prompt, of cached prompt, and of output (thoughts included)."""

    prompt: Decimal
    cached: Decimal
    completion: Decimal

    def cost(self, usage: Usage) -> Decimal:
        """USD of one response."""
        long = usage.prompt_tokens > LONG_PROMPT_TOKENS
        uncached = max(0, usage.prompt_tokens - usage.cached_tokens)
        input_cost = (uncached * self.prompt + usage.cached_tokens * self.cached) * (LONG_INPUT if long else 1)
        output_cost = usage.completion_tokens * self.completion * (LONG_OUTPUT if long else 1)
        return ((input_cost + output_cost) / MILLION).quantize(SMALLEST, rounding=ROUND_UP)

    def estimate(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> Decimal:
        """USD of so many tokens in requests of the ordinary length: what they would cost elsewhere is not known."""
        uncached = max(0, prompt_tokens - cached_tokens)
        total = uncached * self.prompt + cached_tokens * self.cached + completion_tokens * self.completion
        return (total / MILLION).quantize(SMALLEST, rounding=ROUND_UP)


def _prices(prompt: str, cached: str, completion: str) -> Prices:
    return Prices(prompt=Decimal(prompt), cached=Decimal(cached), completion=Decimal(completion))


# Of the standard tier, and when they were read there. A price that has risen since makes a budget too small a
# number: the settings `prices` and `cloud_prices` go before this table.
PRICES_SOURCE = "https://developers.openai.com/api/docs/pricing"
PRICES_DATE = date(2026, 11, 25)
PRICES = {
    "gpt-5.4": _prices("2.50", "0.25", "15"),
    "gpt-5.4-mini": _prices("0.75", "0.075", "4.50"),
    "gpt-5.4-nano": _prices("0.20", "0.02", "1.25"),
    "gpt-5.4-pro": _prices("30", "30", "180"),  # no discount for what is cached
}


# Of the standard prices, what a tier costs. A copy of the guide below says that flex is billed at the rates of the
# Batch API; that those are half, for this model too, is what others write. An operator's own prices come before it.
FLEX = "flex"
TIERS_SOURCE = "https://developers.openai.com/api/docs/guides/flex-processing"
TIERS = {"default": Decimal(1), FLEX: Decimal("0.5")}

# USD for a million tokens in, cached and out.
Triple = tuple[Decimal, Decimal, Decimal]


def prices_of(
    model: str, override: Triple | None = None, own: Mapping[str, Triple] | None = None, tier: str = "default"
) -> Prices:
    """The prices of `model` on a service tier; a dated snapshot costs the same. `override` beats the operator's `own`
    table, in which a tier may have an entry of its own (`gpt-5.4:flex`); that beats ours.

    Raises `InvalidInput` for a model without prices: a budget in USD can't be kept on guesses.
    """
    if override is not None:
        return _given("setting cloud_prices", override)
    undated = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model)
    for name in (model, undated):
        if own and tier != "default" and f"{name}:{tier}" in own:
            return _given(f"setting prices.{name}:{tier}", own[f"{name}:{tier}"])
        if own and name in own:
            return _given(f"setting prices.{name}", own[name])
    prices = PRICES.get(undated)
    if prices is None:
        names = ", ".join(dict.fromkeys((*PRICES, *(own or ()))))
        raise InvalidInput(
            "setting cloud_model", model, f"known prices are of {names}; give its own with REDRAFT_CLOUD_PRICES"
        )
    return _on_tier(prices, tier)


def _on_tier(prices: Prices, tier: str) -> Prices:
    share = TIERS[tier]
    return Prices(prompt=prices.prompt * share, cached=prices.cached * share, completion=prices.completion * share)


def _given(where: str, given: Triple) -> Prices:
    if min(given) < 0:
        raise InvalidInput(where, [str(price) for price in given], "no price is below 0")
    prompt, cached, completion = given
    return Prices(prompt=prompt, cached=cached, completion=completion)


def most_tokens(prompt: str) -> int:
    """More tokens than `prompt` can have in any tokenizer: none makes two of one byte."""
    return len(prompt.encode()) + FRAME_TOKENS
