"""Which profile a machine can hold, with the arithmetic. Pure: the hardware is an argument."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.errors import InvalidInput
from tasks.types import Lane
from workers.engine.hardware import Gpu, Hardware
from workers.engine.profiles import Profile

CPU_DEFAULT = "smollm2-135m"
CPU_SEQUENCES = 16
# More layers than any model has: all of them.
ALL_LAYERS = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A profile, its GPUs, how many sequences their memory holds, and the arithmetic in words.

    The last four fields are for llama.cpp: `threads` (0: the engine's own default), `tensor_split` (the share of each
    of `gpus`, in their order; empty: one GPU or none), `gpu_layers` (how many layers lie on GPUs) and `context_tokens`
    (the KV of all slots together).
    """

    profile: Profile
    gpus: tuple[Gpu, ...] = ()
    max_num_seqs: int = CPU_SEQUENCES
    why: str = ""
    threads: int = 0
    tensor_split: tuple[float, ...] = ()
    gpu_layers: int = 0
    context_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a profile can't run here."""

    why: str


def choose(name: str, hardware: Hardware, profiles: Mapping[str, Profile], lane: Lane = Lane.GPU) -> Choice:
    """The profile `name`, or for `auto` the best one for `lane` that fits the hardware.

    Raises `InvalidInput` for an unknown name, and with the arithmetic for a profile that does not fit.
    """
    if name == "auto":
        return _best(hardware, profiles, lane)
    if name not in profiles:
        raise InvalidInput("model", name, f"known profiles are auto, {', '.join(sorted(profiles))}")
    choice = fit(profiles[name], hardware)
    if isinstance(choice, Refusal):
        raise InvalidInput("model", name, choice.why)
    return choice


def _best(hardware: Hardware, profiles: Mapping[str, Profile], lane: Lane) -> Choice:
    candidates = [profile for profile in profiles.values() if lane in profile.lanes]
    fitting = [choice for profile in candidates if isinstance(choice := fit(profile, hardware), Choice)]
    hosted = [choice for choice in fitting if choice.profile.engine == "vllm"]
    if hosted:
        # A profile for this lane alone comes first: a small model for lane `fast`, even if a larger one would fit.
        return max(
            hosted, key=lambda choice: (choice.profile.lanes == (lane,), choice.profile.rank, choice.profile.name)
        )
    choice = fit(profiles[CPU_DEFAULT], hardware)
    if isinstance(choice, Refusal):
        raise InvalidInput("model", "auto", choice.why)
    why = f"no profile for lane {lane} fits into {_cards(hardware)}" if hardware.gpus else hardware.note or "no GPU"
    return dataclasses.replace(choice, why=f"{why}: a small model on the CPU")


def fit(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """How a profile fits on as few GPUs as possible, or why not. If only the drafter does not fit, it is left out.

    Each GPU of a tensor-parallel group has the same share, so the smallest GPU counts.
    """
    if profile.engine == "vllm-cpu":
        if hardware.ram_gib < profile.ram_gib:
            return Refusal(why=f"it needs {profile.ram_gib:g} GiB of memory, this machine has {hardware.ram_gib:.1f}")
        why = f"runs on the CPU in {profile.ram_gib:g} GiB of memory"
        return Choice(profile=profile, max_num_seqs=profile.max_num_seqs or CPU_SEQUENCES, why=why)
    if profile.on_cpu:
        slots = profile.max_num_seqs or CPU_SEQUENCES
        return Choice(
            profile=profile,
            max_num_seqs=slots,
            why="runs on the CPU",
            threads=max(1, (os.cpu_count() or 1) - 1),
            context_tokens=slots * profile.max_model_len // 2,
        )
    choice = _on_cards(profile, hardware)
    if isinstance(choice, Refusal) and profile.speculation and profile.speculation.weights_gib:
        plain = _on_cards(profile.model_copy(update={"speculation": None}), hardware)
        if isinstance(plain, Choice):
            return dataclasses.replace(plain, why=f"{plain.why}; its drafter would not fit: {choice.why}")
    return choice


def _on_cards(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    demand, capable = profile.demand, [gpu for gpu in hardware.gpus if gpu.compute_capability >= profile.capability]
    if not hardware.gpus:
        whole = f"{demand.need_gib(profile.max_model_len, 1):.1f} GiB on a GPU ({demand.words(profile.max_model_len)})"
        return Refusal(why=f"it needs {whole}; there is no GPU")
    if not capable:
        what = profile.weights_type + (" with a KV cache in fp8" if profile.kv_dtype == "fp8" else "")
        requirement = f"a GPU of compute capability {profile.capability:g} or more for {what}"
        return Refusal(why=f"it needs {requirement}, this machine has {_cards(hardware)}")
    counts = [profile.gpus] if profile.gpus else list(range(1, profile.max_gpus + 1))
    divisible = [count for count in counts if demand.memory.heads % count == 0]
    if not divisible:
        return Refusal(why=f"its {demand.memory.heads} attention heads do not divide by {profile.gpus} cards")
    largest = sorted(capable, key=lambda gpu: (-gpu.memory_gib, gpu.index))
    divisible = [count for count in divisible if count <= len(largest)]
    if not divisible:
        return Refusal(why=f"it needs {profile.gpus} cards, this machine has {_cards(hardware)}")
    for count in divisible:
        needs = demand.need_gib(profile.max_model_len, count)
        has = largest[count - 1].memory_gib * profile.gpu_memory_utilization
        if needs <= has:
            return _choose_sequences(profile, tuple(sorted(largest[:count], key=lambda gpu: gpu.index)), has)
    each = " or ".join(
        f"{demand.need_gib(profile.max_model_len, count):.1f} GiB on each of {count}" for count in divisible
    )
    needs_words = f"{each} ({demand.words(profile.max_model_len)})"
    return Refusal(why=f"it needs {needs_words}; this machine has {_usable(profile, hardware)}")


def _choose_sequences(profile: Profile, gpus: tuple[Gpu, ...], has: float) -> Choice | Refusal:
    demand, count, live = profile.demand, len(gpus), profile.demand.memory.live_tokens
    room, sequence_gib = demand.room_gib(has, count), demand.sequence_gib(live)
    if profile.max_num_seqs * sequence_gib > room:
        requirement = f"max_num_seqs {profile.max_num_seqs} × {sequence_gib:.2f} GiB ({live} live tokens)"
        needed_gib = profile.max_num_seqs * sequence_gib
        return Refusal(why=f"{requirement} is {needed_gib:.1f} GiB of KV, and {room:.1f} GiB are left for it")
    count_fitting = profile.max_num_seqs or demand.sequences(has, count)
    needs = demand.need_gib(profile.max_model_len, count)
    why = (
        f"{needs:.1f} GiB needed on each of {count}, {has:.1f} GiB usable ({demand.words(profile.max_model_len)}); "
        f"{room:.1f} GiB for KV hold {count_fitting} sequences of {live} tokens at {sequence_gib:.2f} GiB"
    )
    return Choice(profile=profile, gpus=gpus, max_num_seqs=count_fitting, why=why)


def _usable(profile: Profile, hardware: Hardware) -> str:
    shares = ", ".join(f"{gpu.memory_gib * profile.gpu_memory_utilization:.1f}" for gpu in hardware.gpus)
    return f"{shares} GiB usable ({profile.gpu_memory_utilization:.0%} of {_cards(hardware)})"


def _cards(hardware: Hardware) -> str:
    names = (f"{gpu.memory_gib:.0f} GiB {gpu.name} ({gpu.compute_capability:g})" for gpu in hardware.gpus)
    return ", ".join(names) or "no GPU"
