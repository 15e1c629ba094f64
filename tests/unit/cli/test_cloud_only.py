"""What the same tokens would have cost in the cloud: an estimate, and labelled as one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tasks.settings import Settings
from workers.cli.cloud_only import cloud_only, words


@dataclass
class Row:
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


def test_it_is_the_tokens_at_the_prices_of_the_configured_model() -> None:
    rows = [Row(1_000_000, 500_000, 10_000), Row(0, 0, 90_000)]
    assert cloud_only(Settings(cloud_model="gpt-5.4"), rows) == Decimal("2.875")
    assert cloud_only(Settings(cloud_model="gpt-5.4-nano"), rows) == Decimal("0.235")
    own = Settings(cloud_model="own", cloud_prices=(Decimal(1), Decimal(0), Decimal(10)))
    assert cloud_only(own, rows) == Decimal("1.5")
    assert cloud_only(own, []) == 0


def test_a_model_whose_prices_nobody_knows_has_none() -> None:
    settings = Settings(cloud_model="own")
    assert cloud_only(settings, [Row(1, 0, 1)]) is None
    assert words(settings, None) == ""


def test_it_says_that_it_is_an_estimate_and_of_what() -> None:
    said = words(Settings(cloud_model="gpt-5.4"), Decimal("2.875"))
    assert said == "an estimate: the same tokens by gpt-5.4 alone would have cost $2.88 at its prices"
