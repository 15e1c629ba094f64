from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tasks.errors import InvalidInput
from tasks.types import Lane
from workers.engine.choice import Choice, Refusal, choose, fit, need_gib, sequences
from workers.engine.hardware import Gpu, Hardware, detect
from workers.engine.profiles import Memory, Profile

Cards = Callable[..., Hardware]
Profiles = Mapping[str, Profile]


@pytest.mark.parametrize(
    ("sizes", "capability", "name", "gpus"),
    [
        ((), 0.0, "smollm2-135m", 0),
        ((8.0,), 8.6, "smollm2-135m", 0),
        ((15.9, 15.9), 12.0, "gemma-4-31b-nvfp4", 2),  # 5070 Ti + 5060 Ti
        ((15.9, 15.9), 8.9, "gemma-4-31b-w4a16", 2),
        ((31.8,), 12.0, "gemma-4-31b-nvfp4", 1),
        ((31.8,), 8.0, "gemma-4-31b-w4a16", 1),
        ((79.2,), 9.0, "gemma-4-31b-fp8", 1),
        ((79.2,), 8.0, "gemma-4-31b-w4a16", 1),  # an A100 has no FP8
        ((79.2, 79.2), 9.0, "gemma-4-31b-bf16", 2),
        ((141.0,), 9.0, "gemma-4-31b-bf16", 1),
    ],
)
def test_auto_takes_the_best_model_that_fits(
    sizes: tuple[float, ...], capability: float, name: str, gpus: int, cards: Cards, profiles: Profiles
) -> None:
    choice = choose("auto", cards(*sizes, capability=capability), profiles)
    assert (choice.profile.name, len(choice.gpus)) == (name, gpus)


def test_auto_for_lane_fast_takes_a_model_of_that_lane(cards: Cards, profiles: Profiles) -> None:
    only_fast = {name: profile for name, profile in profiles.items() if Lane.GPU not in profile.lanes}
    known = {**only_fast, "smollm2-135m": profiles["smollm2-135m"]}
    assert choose("auto", cards(79.2), profiles, Lane.FAST).profile.name == "gemma-4-26b-a4b-bf16"
    assert choose("auto", cards(79.2), known, Lane.FAST).profile.name == "gemma-4-26b-a4b-bf16"
    assert choose("auto", cards(79.2), known, Lane.GPU).profile.name == "smollm2-135m"


def test_the_largest_cards_are_taken_and_the_smallest_of_them_counts(profiles: Profiles) -> None:
    sizes = (8.0, 31.8, 15.9, 31.8)
    gpus = tuple(Gpu(index=i, name="x", memory_gib=size, compute_capability=9.0) for i, size in enumerate(sizes))
    choice = fit(profiles["gemma-4-31b-fp8"], Hardware(gpus=gpus))
    assert isinstance(choice, Choice)
    assert [gpu.index for gpu in choice.gpus] == [1, 3]


def test_a_model_that_cannot_fit_is_refused_with_the_arithmetic(cards: Cards, profiles: Profiles) -> None:
    with pytest.raises(InvalidInput) as told:
        choose("gemma-4-31b-fp8", cards(24.0), profiles)
    # 35.4 of weights + 0.78 + 65,536 tokens × 80 KiB + 2, against 90 % of 24
    assert "43.2 GiB on each of 1" in str(told.value)
    assert "35.4 weights + 5.8 KV for 65536 tokens + 2 a card" in str(told.value)
    assert "21.6 GiB usable" in str(told.value)


def test_an_old_card_is_refused_by_its_capability_whatever_its_memory(cards: Cards, profiles: Profiles) -> None:
    refused = fit(profiles["gemma-4-31b-nvfp4"], cards(79.2, capability=9.0))
    assert isinstance(refused, Refusal)
    assert "compute capability 10" in refused.why


def test_a_cpu_model_is_refused_where_the_memory_is_too_small(cards: Cards, profiles: Profiles) -> None:
    with pytest.raises(InvalidInput, match=r"needs 8 GiB of memory, this machine has 4\.0"):
        choose("qwen2.5-coder-1.5b", cards(ram_gib=4.0), profiles)


def test_an_unknown_model_is_refused_with_the_names(cards: Cards, profiles: Profiles) -> None:
    with pytest.raises(InvalidInput, match="smollm2-135m"):
        choose("gpt", cards(), profiles)


def test_the_arithmetic_shares_weights_and_kv_but_not_the_overhead() -> None:
    memory = Memory(weights_gib=16, kv_kib_per_token=64, sequence_gib=1, overhead_gib=2, live_tokens=16_384)
    assert need_gib(memory, 16_384, 1) == 16 + 1 + 1 + 2
    assert need_gib(memory, 16_384, 2) == (16 + 1 + 1) / 2 + 2
    assert sequences(memory, usable_gib=28, cards=1) == 5  # (28 - 2 - 16) GiB at 2 GiB each
    assert sequences(memory, usable_gib=18, cards=1) == 1
    assert sequences(memory, usable_gib=1000, cards=1) == 64


def test_this_machine_can_be_looked_at() -> None:
    hardware = detect()
    assert hardware.ram_gib > 0
    assert bool(hardware.gpus) == (not hardware.note)
