"""Which profile a machine can hold, with the arithmetic. Pure: the hardware is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

from tasks.errors import InvalidInput
from tasks.types import Lane
from workers.engine.hardware import Gpu, Hardware
from workers.engine.profiles import Memory, Profile

CPU_DEFAULT = "smollm2-135m"
# More sequences at once than this gain little, and each is a turn's wait for the others.
MOST_SEQUENCES = 64
CPU_SEQUENCES = 16
KIB_PER_GIB = 1 << 20


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
    return made


def _best(hardware: Hardware, profiles: Mapping[str, Profile], lane: Lane) -> Choice:
    able = [profile for profile in profiles.values() if profile.engine == "vllm" and lane in profile.lanes]
    fitting = [made for profile in able if isinstance(made := fit(profile, hardware), Choice)]
    if fitting:
        # A profile of this lane alone comes first: a small model for lane fast, though a larger one would fit.
        return max(fitting, key=lambda made: (made.profile.lanes == (lane,), made.profile.rank, made.profile.name))
    made = fit(profiles[CPU_DEFAULT], hardware)
    if isinstance(made, Refusal):
        raise InvalidInput("model", "auto", made.why)
    why = f"no profile for lane {lane} fits into {_cards(hardware)}" if hardware.gpus else hardware.note or "no GPU"
    return Choice(profile=made.profile, why=f"{why}: a small model on the CPU")


def fit(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """How a profile fits, on as few cards as possible (a power of two, as attention heads divide), or why not.

    Each card of a tensor-parallel group holds the same share, so the smallest of them counts.
    """
    memory = profile.memory
    if profile.engine == "vllm-cpu" or memory is None:
        if hardware.ram_gib < profile.ram_gib:
            return Refusal(why=f"it needs {profile.ram_gib:g} GiB of memory, this machine has {hardware.ram_gib:.1f}")
        return Choice(profile=profile, why=f"runs on the CPU in {profile.ram_gib:g} GiB of memory")
    able = [gpu for gpu in hardware.gpus if gpu.compute_capability >= profile.compute_capability]
    if not hardware.gpus:
        return Refusal(why=f"it needs {need_gib(memory, profile.max_model_len, 1):.1f} GiB on a GPU; there is no GPU")
    if not able:
        wanted = f"a GPU of compute capability {profile.compute_capability:g} or more"
        return Refusal(why=f"it needs {wanted}, this machine has {_cards(hardware)}")
    largest = sorted(able, key=lambda gpu: (-gpu.memory_gib, gpu.index))
    most = min(profile.max_gpus, len(largest))
    counts = list(takewhile(lambda count: count <= most, (1, 2, 4, 8)))
    for count in counts:
        needs = need_gib(memory, profile.max_model_len, count)
        has = largest[count - 1].memory_gib * profile.gpu_memory_utilization
        if needs <= has:
            return Choice(
                profile=profile,
                gpus=tuple(sorted(largest[:count], key=lambda gpu: gpu.index)),
                max_num_seqs=sequences(memory, has, count),
                why=f"{needs:.1f} GiB needed on each of {count}, {has:.1f} GiB usable",
            )
    return Refusal(why=f"it needs {_needs(profile, memory, counts)}; this machine has {_usable(profile, hardware)}")


def need_gib(memory: Memory, max_model_len: int, cards: int) -> float:
    """GiB on each card for one sequence of full length: (weights + its KV) / cards + overhead."""
    kv_gib = memory.sequence_gib + max_model_len * memory.kv_kib_per_token / KIB_PER_GIB
    return (memory.weights_gib + kv_gib) / cards + memory.overhead_gib


def sequences(memory: Memory, usable_gib: float, cards: int) -> int:
    """How many sequences of `live_tokens` the KV space holds, between 1 and 64."""
    free_gib = (usable_gib - memory.overhead_gib) * cards - memory.weights_gib
    each_gib = memory.sequence_gib + memory.live_tokens * memory.kv_kib_per_token / KIB_PER_GIB
    return max(1, min(MOST_SEQUENCES, int(free_gib / each_gib)))


def _needs(profile: Profile, memory: Memory, counts: list[int]) -> str:
    kv_gib = memory.sequence_gib + profile.max_model_len * memory.kv_kib_per_token / KIB_PER_GIB
    each = " or ".join(
        f"{need_gib(memory, profile.max_model_len, count):.1f} GiB on each of {count}" for count in counts
    )
    parts = f"{memory.weights_gib:g} weights + {kv_gib:.1f} KV for {profile.max_model_len} tokens"
    return f"{each} ({parts} + {memory.overhead_gib:g} a card)"


def _usable(profile: Profile, hardware: Hardware) -> str:
    shares = ", ".join(f"{gpu.memory_gib * profile.gpu_memory_utilization:.1f}" for gpu in hardware.gpus)
    return f"{shares} GiB usable ({profile.gpu_memory_utilization:.0%} of {_cards(hardware)})"


def _cards(hardware: Hardware) -> str:
    shown = (f"{gpu.memory_gib:.0f} GiB {gpu.name} ({gpu.compute_capability:g})" for gpu in hardware.gpus)
    return ", ".join(shown) or "no GPU"
