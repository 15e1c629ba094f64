from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import pytest

from tasks.errors import InvalidInput
from tasks.types import Lane
from workers.engine.choice import Choice, Refusal, choose, fit
from workers.engine.demand import Demand, Memory
from workers.engine.hardware import Gpu, Hardware, detect
from workers.engine.profiles import Profile, Speculation

Cards = Callable[..., Hardware]
Profiles = Mapping[str, Profile]


# As NVML reports them.
CARDS = {
    "5070 Ti": (15.92, 12.0),
    "5060 Ti": (15.93, 12.0),
    "4060 Ti": (15.99, 8.9),
    "5090": (31.84, 12.0),
    "V100": (32.0, 7.0),
    "3090": (24.0, 8.6),
    "L40S": (44.99, 8.9),
    "A100": (80.0, 8.0),
    "H100": (79.65, 9.0),
    "H200": (140.4, 9.0),
    "B200": (179.1, 10.0),
}
CPU = "smollm2-135m"


def machine(*names: str) -> Hardware:
    gpus = (
        Gpu(index=index, name=name, memory_gib=CARDS[name][0], compute_capability=CARDS[name][1])
        for index, name in enumerate(names)
    )
    return Hardware(gpus=tuple(gpus), ram_gib=64.0)


@pytest.mark.parametrize(
    ("names", "lane", "profile", "cards", "sequences", "drafter"),
    [
        ((), Lane.GPU, CPU, 0, 16, False),
        (("V100",), Lane.GPU, CPU, 0, 16, False),  # too old for any
        (("5070 Ti",), Lane.GPU, CPU, 0, 16, False),  # a GGUF in a llama.cpp server is what fits
        (("3090",), Lane.GPU, CPU, 0, 16, False),
        (("5070 Ti", "5060 Ti"), Lane.GPU, "gemma-4-31b-nvfp4", 2, 2, True),
        (("4060 Ti", "4060 Ti"), Lane.GPU, "gemma-4-31b-w4a16", 2, 3, False),  # its drafter would not fit
        (("5090",), Lane.GPU, "gemma-4-31b-nvfp4", 1, 3, True),
        (("5090",), Lane.FAST, "gemma-4-26b-a4b-fp8", 1, 2, False),
        (("L40S",), Lane.GPU, "gemma-4-31b-w4a16", 1, 9, True),
        (("A100",), Lane.GPU, "gemma-4-31b-w4a16", 1, 24, True),  # it has no FP8
        (("H100",), Lane.GPU, "gemma-4-31b-fp8", 1, 16, True),
        (("H100",), Lane.FAST, "gemma-4-26b-a4b-bf16", 1, 40, True),
        (("H100", "H100"), Lane.GPU, "gemma-4-31b-bf16", 2, 33, True),
        (("H100",) * 4, Lane.GPU, "gemma-4-31b-bf16", 2, 33, True),
        (("H200",), Lane.GPU, "gemma-4-31b-bf16", 1, 26, True),
        (("B200",), Lane.FAST, "gemma-4-26b-a4b-bf16", 1, 64, True),
    ],
)
def test_auto_takes_the_best_model_that_a_machine_holds(
    names: tuple[str, ...],
    lane: Lane,
    profile: str,
    cards: int,
    sequences: int,
    drafter: bool,
    profiles: Profiles,
) -> None:
    choice = choose("auto", machine(*names), profiles, lane)
    assert (choice.profile.name, len(choice.gpus), choice.max_num_seqs) == (profile, cards, sequences)
    assert (choice.profile.speculation is not None) is drafter


def test_the_choice_is_explained_with_its_arithmetic(profiles: Profiles) -> None:
    why = choose("auto", machine("5070 Ti", "5060 Ti"), profiles).why
    # (17.7 + 0.88 + 0.78 + 65,536 × 80 KiB) / 2 + 2, against 90 % of 15.92
    assert "14.2 GiB needed on each of 2, 14.3 GiB usable" in why
    assert "(17.7 weights + 0.88 drafter + 5.8 KV for 65536 tokens + 2 a card)" in why
    assert "6.1 GiB for KV hold 2 sequences of 16384 tokens at 2.03 GiB" in why


def test_on_the_cpu_llama_cpp_leaves_a_core_to_the_stack(profiles: Profiles) -> None:
    choice = choose("smollm2-135m-q4", machine(), profiles)
    assert (choice.max_num_seqs, choice.gpu_layers, choice.tensor_split) == (16, 0, ())
    assert choice.threads == max(1, (os.cpu_count() or 1) - 1)


def altered(profile: Profile, **fields: object) -> Profile:
    return profile.model_copy(update=fields)


def refusal(profile: Profile, *names: str) -> str:
    made = fit(profile, machine(*names))
    assert isinstance(made, Refusal), made
    return made.why


def test_what_can_never_run_is_refused_with_the_reason(profiles: Profiles) -> None:
    bf16, nvfp4 = profiles["gemma-4-31b-bf16"], profiles["gemma-4-31b-nvfp4"]
    assert "attention heads do not divide by 3 cards" in refusal(altered(bf16, gpus=3), *["H100"] * 3)
    assert "it needs 8 cards" in refusal(altered(bf16, gpus=8), "H100", "H100")
    assert "compute capability 10 or more for nvfp4" in refusal(nvfp4, "H100")
    w4a16 = altered(profiles["gemma-4-31b-w4a16"], kv_dtype="fp8")
    assert "compute capability 8.9 or more for w4a16 with a KV cache in fp8" in refusal(w4a16, "A100")
    assert "max_num_seqs 64 × 2.03 GiB (16384 live tokens) is 129.9 GiB of KV, and 33.4 GiB are left for it" in refusal(
        altered(profiles["gemma-4-31b-fp8"], max_num_seqs=64), "H100"
    )


def test_a_kv_cache_in_fp8_holds_twice_as_many_sequences(profiles: Profiles) -> None:
    fp8 = profiles["gemma-4-31b-fp8"]
    wide, narrow = fit(fp8, machine("H100")), fit(altered(fp8, kv_dtype="fp8"), machine("H100"))
    assert isinstance(wide, Choice)
    assert isinstance(narrow, Choice)
    assert (wide.max_num_seqs, narrow.max_num_seqs) == (16, 32)
    assert "2.9 KV for 65536 tokens in fp8" in narrow.why


def test_guessing_from_the_text_takes_no_memory(profiles: Profiles) -> None:
    ngram = altered(profiles["gemma-4-31b-w4a16"], speculation=Speculation(method="ngram", tokens=4))
    made = fit(ngram, machine("4060 Ti", "4060 Ti"))
    assert isinstance(made, Choice)
    assert made.profile.speculation is not None


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
    # 35.4 of weights + 0.88 + 0.78 + 65,536 tokens × 80 KiB + 2, against 90 % of 24
    assert "44.1 GiB on each of 1" in str(told.value)
    assert "35.4 weights + 0.88 drafter + 5.8 KV for 65536 tokens + 2 a card" in str(told.value)
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
    memory = Memory(weights_gib=16, kv_kib_per_token=64, sequence_gib=1, overhead_gib=2, kv_heads=2)
    demand = Demand(memory=memory)
    assert demand.need_gib(16_384, 1) == 16 + 1 + 1 + 2
    assert demand.need_gib(16_384, 2) == (16 + 1 + 1) / 2 + 2
    assert demand.need_gib(16_384, 4) == 16 / 4 + (1 + 1) / 2 + 2  # two KV heads lie twice on four cards
    assert Demand(memory=memory, drafter_gib=4, kv_dtype="fp8").need_gib(16_384, 1) == 16 + 4 + (1 + 1) / 2 + 2
    assert demand.sequences(usable_gib=28, cards=1) == 5  # (28 - 2 - 16) GiB at 2 GiB each
    assert demand.sequences(usable_gib=18, cards=1) == 1
    assert demand.sequences(usable_gib=1000, cards=1) == 64


def test_this_machine_can_be_looked_at() -> None:
    hardware = detect()
    assert hardware.ram_gib > 0
    assert bool(hardware.gpus) == (not hardware.note)
