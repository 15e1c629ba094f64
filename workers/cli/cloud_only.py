"""What a run would have cost if the cloud's model had written all of it: an estimate to put spend beside. It would have
needed another number of tokens, which nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from tasks.errors import InvalidInput
from tasks.llm.prices import prices_of
from tasks.settings import Settings
from workers.cli import output


class Tokens(Protocol):
    """A row with tokens; the prompt's include the cached ones."""

    @property
    def prompt_tokens(self) -> int:
        """In."""

    @property
    def cached_tokens(self) -> int:
        """Of those, cached."""

    @property
    def completion_tokens(self) -> int:
        """Out."""


def cloud_only(settings: Settings, rows: Iterable[Tokens]) -> Decimal | None:
    """USD of the rows' tokens at the prices of the configured cloud model; None where nobody knows its prices."""
    try:
        prices = prices_of(settings.cloud_model, settings.cloud_prices, settings.prices)
    except InvalidInput:
        return None
    return sum((prices.estimate(r.prompt_tokens, r.cached_tokens, r.completion_tokens) for r in rows), Decimal(0))


def words(settings: Settings, usd: Decimal | None) -> str:
    """The estimate as a sentence, labelled as one; empty where there is none."""
    if usd is None:
        return ""
    return (
        f"an estimate: the same tokens by {settings.cloud_model} alone would have cost {output.usd(usd)} at its prices"
    )
