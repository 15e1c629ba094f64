"""What the cloud costs, to the last digit, and never less than it is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InvalidInput
from tasks.llm.prices import FRAME_TOKENS, LONG_PROMPT_TOKENS, most_tokens, prices_of
from tasks.types import Usage

GPT = prices_of("gpt-5.4")


def usage(prompt: int, cached: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion)


@pytest.mark.parametrize(
    ("model", "used", "usd"),
    [
        ("gpt-5.4", usage(1_000, 0, 0), "0.0025"),
        ("gpt-5.4", usage(1_000, 800, 0), "0.0007"),
        ("gpt-5.4", usage(0, 0, 1_000), "0.015"),
        ("gpt-5.4-mini", usage(10_000, 0, 1_000), "0.012"),
        ("gpt-5.4-nano", usage(10_000, 0, 1_000), "0.00325"),
        ("gpt-5.4-pro", usage(1_000, 500, 1_000), "0.21"),
        ("gpt-5.4-2026-03-05", usage(1_000, 0, 0), "0.0025"),
    ],
)
def test_the_cost_of_a_response(model: str, used: Usage, usd: str) -> None:
    assert prices_of(model).cost(used) == Decimal(usd)


def test_a_long_prompt_costs_twice_the_input_and_half_again_the_output() -> None:
    at, over = usage(LONG_PROMPT_TOKENS, 0, 1000), usage(LONG_PROMPT_TOKENS + 1, 0, 1000)
    assert GPT.cost(at) == Decimal("0.695")
    assert GPT.cost(over) == Decimal("1.360005") + Decimal("0.0225")


def test_a_fraction_of_the_smallest_amount_is_rounded_up() -> None:
    assert GPT.cost(usage(1, 0, 0)) == Decimal("0.000003")


def test_a_model_without_prices_is_refused_unless_they_are_given() -> None:
    with pytest.raises(InvalidInput, match=r"cloud_model: 'gpt-9' is not allowed; known prices are of gpt-5\.4, gpt-"):
        prices_of("gpt-9")
    given = (Decimal(1), Decimal("0.5"), Decimal(2))
    assert prices_of("gpt-9", given).cost(usage(100_000, 100_000, 200_000)) == Decimal("0.45")
    with pytest.raises(InvalidInput, match=r"cloud_prices: \['0', '-1', '7'\] .* no price is below 0"):
        prices_of("gpt-9", (Decimal(0), Decimal(-1), Decimal(7)))


def test_the_operators_table_goes_before_ours_and_a_snapshot_may_have_a_price_of_its_own() -> None:
    own = {"gpt-5.4": (Decimal(4), Decimal(1), Decimal(8)), "far-1-2026-01-01": (Decimal(1), Decimal(1), Decimal(1))}
    million = usage(1_000_000, 1_000_000, 0)
    assert prices_of("gpt-5.4-2026-03-05", None, own).cost(million) == Decimal(2)  # cached, and long
    assert prices_of("far-1-2026-01-01", None, own).cost(million) == Decimal(2)
    with pytest.raises(InvalidInput, match=r"known prices are of .*, far-1-2026-01-01; give"):
        prices_of("far-1", None, own)
    with pytest.raises(InvalidInput, match=r"^setting prices\.near: .* no price is below 0"):
        prices_of("near", None, {"near": (Decimal(1), Decimal(1), Decimal(-2))})


def test_flex_costs_half_cached_and_long_prompts_included() -> None:
    flex = prices_of("gpt-5.4-2026-03-05", tier="flex")
    for used in (usage(9_000, 0, 700), usage(9_000, 8_000, 700), usage(LONG_PROMPT_TOKENS + 2, 0, 1000)):
        assert flex.cost(used) * 2 == GPT.cost(used)


def test_a_tier_may_have_a_price_of_the_operators_own() -> None:
    own = {"far-1": (Decimal(4), Decimal(4), Decimal(8)), "far-1:flex": (Decimal(1), Decimal(1), Decimal(3))}
    assert prices_of("far-1", None, own, "flex").completion == Decimal(3)
    assert prices_of("far-1", None, {"far-1": own["far-1"]}, "flex").completion == Decimal(8)  # not halved by a guess
    assert prices_of("gpt-5.4", (Decimal(7), Decimal(7), Decimal(7)), own, "flex").prompt == Decimal(7)


def test_a_price_of_nothing_is_a_price() -> None:
    free = prices_of("gpt-5.4", (Decimal(0), Decimal(0), Decimal(0)))
    assert free.cost(usage(1_000_000, 10, 1_000_000)) == 0


def test_a_prompt_may_have_a_token_for_each_byte_and_those_of_its_frame() -> None:
    assert most_tokens("") == FRAME_TOKENS
    assert most_tokens("né") == 3 + FRAME_TOKENS
    assert most_tokens("漢字かな") == 12 + FRAME_TOKENS


def test_a_cached_part_that_is_more_than_the_prompt_gives_nothing_back() -> None:
    assert GPT.cost(usage(1_000, 3_000, 0)) == Decimal("0.00075")


@given(st.text())
def test_no_tokenizer_makes_more_tokens_than_are_reserved(text: str) -> None:
    assert most_tokens(text) > len(text.encode("utf-8", "surrogatepass")) >= len(text)


@given(st.integers(0, 400_000), st.integers(0, 40_000), st.integers(0, 40_000), st.data())
def test_what_is_used_never_costs_more_than_the_most_of_it(
    prompt: int, completion: int, more: int, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, prompt))
    assert GPT.cost(usage(prompt, cached, completion)) <= GPT.cost(usage(prompt + more, 0, completion + more))


def test_an_estimate_of_many_requests_takes_none_of_them_for_a_long_one() -> None:
    assert GPT.estimate(10 * LONG_PROMPT_TOKENS, 0, 1_000) == Decimal("6.815")
    assert GPT.estimate(1_000, 800, 0) == GPT.cost(usage(1_000, 800, 0))
    assert GPT.estimate(0, 1, 0) == Decimal("0.000001")
