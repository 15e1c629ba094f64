"""Which profile a machine can hold, with the arithmetic. Pure: the hardware is an argument."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.errors import InvalidInput
from tasks.types import Lane
from workers.engine.hardware import Gpu, Hardware
from workers.engine.profiles import Profile

CPU_DEFAULT = "smollm2-135m"
CPU_SEQUENCES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A profile, the cards it is spread over, how many sequences their memory holds, and the arithmetic."""

    profile: Profile
    gpus: tuple[Gpu, ...] = ()
    max_num_seqs: int = CPU_SEQUENCES
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a profile can't run here."""

    why: str


def choose(name: str, hardware: Hardware, profiles: Mapping[str, Profile], lane: Lane = Lane.GPU) -> Choice:
    """The profile called `name`, or for `auto` the best for `lane` that the hardware can hold.

    Raises `InvalidInput` for an unknown name, and with the arithmetic where it can't fit.
    """
    if name == "auto":
        return _best(hardware, profiles, lane)
    if name not in profiles:
        raise InvalidInput("model", name, f"known profiles are auto, {', '.join(sorted(profiles))}")
    made = fit(profiles[name], hardware)
    if isinstance(made, Refusal):
        raise InvalidInput("model", name, made.why)
    if made.profile.engine == "llama.cpp":
        by_hand = made.profile.start_by_hand(made.max_num_seqs)
        raise InvalidInput("model", name, f"Redraft does not start a llama.cpp server; start one yourself: {by_hand}")
    return made


def _best(hardware: Hardware, profiles: Mapping[str, Profile], lane: Lane) -> Choice:
    able = [profile for profile in profiles.values() if lane in profile.lanes]
    fitting = [made for profile in able if isinstance(made := fit(profile, hardware), Choice)]
    hosted = [made for made in fitting if made.profile.engine == "vllm"]
    if hosted:
        # A profile of this lane alone comes first: a small model for lane fast, though a larger one would fit.
        return max(hosted, key=lambda made: (made.profile.lanes == (lane,), made.profile.rank, made.profile.name))
    made = fit(profiles[CPU_DEFAULT], hardware)
    if isinstance(made, Refusal):
        raise InvalidInput("model", "auto", made.why)
    why = f"no profile for lane {lane} fits into {_cards(hardware)}" if hardware.gpus else hardware.note or "no GPU"
    by_hand = next((made for made in fitting if made.profile.engine == "llama.cpp"), None)
    hint = f"; better: {by_hand.profile.start_by_hand(by_hand.max_num_seqs)}" if by_hand else ""
    return dataclasses.replace(made, why=f"{why}: a small model on the CPU{hint}")


def fit(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """How a profile fits, on as few cards as possible, or why not. Its drafter is left out where only that is too much.

    Each card of a tensor-parallel group holds the same share, so the smallest of them counts.
    """
    if profile.engine == "vllm-cpu":
        if hardware.ram_gib < profile.ram_gib:
            return Refusal(why=f"it needs {profile.ram_gib:g} GiB of memory, this machine has {hardware.ram_gib:.1f}")
        why = f"runs on the CPU in {profile.ram_gib:g} GiB of memory"
        return Choice(profile=profile, max_num_seqs=profile.max_num_seqs or CPU_SEQUENCES, why=why)
    made = _on_cards(profile, hardware)
    if isinstance(made, Refusal) and profile.speculation and profile.speculation.weights_gib:
        plain = _on_cards(profile.model_copy(update={"speculation": None}), hardware)
        if isinstance(plain, Choice):
            return dataclasses.replace(plain, why=f"{plain.why}; its drafter would not fit: {made.why}")
    return made


def _on_cards(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    demand, able = profile.demand, [gpu for gpu in hardware.gpus if gpu.compute_capability >= profile.capability]
    if not hardware.gpus:
        whole = f"{demand.need_gib(profile.max_model_len, 1):.1f} GiB on a GPU ({demand.words(profile.max_model_len)})"
        return Refusal(why=f"it needs {whole}; there is no GPU")
    if not able:
        what = profile.weights_type + (" with a KV cache in fp8" if profile.kv_dtype == "fp8" else "")
        wanted = f"a GPU of compute capability {profile.capability:g} or more for {what}"
        return Refusal(why=f"it needs {wanted}, this machine has {_cards(hardware)}")
    counts = [profile.gpus] if profile.gpus else list(range(1, profile.max_gpus + 1))
    cut = [count for count in counts if demand.memory.heads % count == 0]
    if not cut:
        return Refusal(why=f"its {demand.memory.heads} attention heads do not divide by {profile.gpus} cards")
    largest = sorted(able, key=lambda gpu: (-gpu.memory_gib, gpu.index))
    cut = [count for count in cut if count <= len(largest)]
    if not cut:
        return Refusal(why=f"it needs {profile.gpus} cards, this machine has {_cards(hardware)}")
    for count in cut:
        needs = demand.need_gib(profile.max_model_len, count)
        has = largest[count - 1].memory_gib * profile.gpu_memory_utilization
        if needs <= has:
            return _choose_sequences(profile, tuple(sorted(largest[:count], key=lambda gpu: gpu.index)), has)
    each = " or ".join(f"{demand.need_gib(profile.max_model_len, count):.1f} GiB on each of {count}" for count in cut)
    needs_words = f"{each} ({demand.words(profile.max_model_len)})"
    return Refusal(why=f"it needs {needs_words}; this machine has {_usable(profile, hardware)}")


def _choose_sequences(profile: Profile, gpus: tuple[Gpu, ...], has: float) -> Choice | Refusal:
    demand, count, live = profile.demand, len(gpus), profile.demand.memory.live_tokens
    room, each = demand.room_gib(has, count), demand.sequence_gib(live)
    if profile.max_num_seqs * each > room:
        wanted = f"max_num_seqs {profile.max_num_seqs} × {each:.2f} GiB ({live} live tokens)"
        return Refusal(
            why=f"{wanted} is {profile.max_num_seqs * each:.1f} GiB of KV, and {room:.1f} GiB are left for it"
        )
    most = profile.max_num_seqs or demand.sequences(has, count)
    needs = demand.need_gib(profile.max_model_len, count)
    why = (
        f"{needs:.1f} GiB needed on each of {count}, {has:.1f} GiB usable ({demand.words(profile.max_model_len)}); "
        f"{room:.1f} GiB for KV hold {most} sequences of {live} tokens at {each:.2f} GiB"
    )
    return Choice(profile=profile, gpus=gpus, max_num_seqs=most, why=why)


def _usable(profile: Profile, hardware: Hardware) -> str:
    shares = ", ".join(f"{gpu.memory_gib * profile.gpu_memory_utilization:.1f}" for gpu in hardware.gpus)
    return f"{shares} GiB usable ({profile.gpu_memory_utilization:.0%} of {_cards(hardware)})"


def _cards(hardware: Hardware) -> str:
    shown = (f"{gpu.memory_gib:.0f} GiB {gpu.name} ({gpu.compute_capability:g})" for gpu in hardware.gpus)
    return ", ".join(shown) or "no GPU"
