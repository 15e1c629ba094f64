"""Which profile a machine gets: by name, by the model's name, or the best one. Pure: the hardware is an argument."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from tasks.errors import InvalidInput
from tasks.types import Lane
from workers.engine.hardware import Hardware
from workers.engine.placement import ALL_LAYERS, Choice, Refusal, fit, name_cards
from workers.engine.profiles import Profile

__all__ = ["ALL_LAYERS", "Choice", "EngineName", "Refusal", "choose", "fit", "known_names"]

# What a user restricts the choice to; `vllm` is both of its builds, and an empty one leaves the choice open.
EngineName = Literal["", "vllm", "llama.cpp"]
ENGINES: Mapping[EngineName, frozenset[str]] = {
    "": frozenset({"vllm", "vllm-cpu", "llama.cpp"}),
    "vllm": frozenset({"vllm", "vllm-cpu"}),
    "llama.cpp": frozenset({"llama.cpp"}),
}

# On a processor alone `auto` takes the strongest of these whose hardware is there. Qwen solves a good part of small
# programming tasks, SmolLM2 little more than `return a + b`; but the demo's seven problems take some 6,000 tokens, and
# one AVX2 core writes 12.8 tok/s with Qwen in 4 bits: eight cores, one of them left to the stack, write them in about
# two minutes, two cores in eight. Kernels for bf16 do as much with four.
STRONG_CPU_MODEL, SMALL_CPU_MODEL = "qwen2.5-coder-1.5b", "smollm2-135m"
STRONG_CORES, STRONG_BF16_CORES = 8, 4
# Its 2 GiB, or 8 in bf16, beside the stack, the sandbox and what the machine is for.
STRONG_RAM_GIB = 8.0


def choose(
    name: str, hardware: Hardware, profiles: Mapping[str, Profile], lane: Lane = Lane.GPU, engine: EngineName = ""
) -> Choice:
    """The profile `name`, the best profile of the model `name`, or for `auto` the best one for `lane`, by `engine`.

    Raises `InvalidInput` for an unknown name, for one that `engine` does not serve, and with the arithmetic for one
    that does not fit.
    """
    allowed = {key: profile for key, profile in profiles.items() if profile.engine in ENGINES[engine]}
    if name == "auto":
        return _best(hardware, allowed, lane, engine)
    named = _named(name, profiles)
    if not named:
        raise InvalidInput("model", name, f"known models are auto, {', '.join(known_names(profiles))}")
    members = [profile for profile in named if profile.name in allowed]
    if not members:
        has = ", ".join(sorted({profile.engine for profile in named}))
        raise InvalidInput("model", name, f"{has} serves it, and the engine asked for is {engine}")
    choice = _preferred(members, hardware)
    if isinstance(choice, Refusal):
        raise InvalidInput("model", name, choice.why)
    return choice


def known_names(profiles: Mapping[str, Profile]) -> list[str]:
    """Every name that `choose` knows besides `auto`: models, then profiles."""
    families = sorted({profile.family for profile in profiles.values() if profile.family})
    return [*families, *sorted(set(profiles) - set(families))]


def _named(name: str, profiles: Mapping[str, Profile]) -> list[Profile]:
    """The profiles of the model `name`, else the one profile of that name. A profile of a user's own that replaces a
    packaged one and names no family is meant by its name."""
    family = [profile for profile in profiles.values() if profile.family == name]
    own = profiles.get(name)
    if own is not None and (not family or own.family != name):
        return [own]
    return family


def _preferred(members: Sequence[Profile], hardware: Hardware) -> Choice | Refusal:
    """The member that is fastest here, among those that fit."""
    fits = [(member, fit(member, hardware)) for member in members]
    fitting = [choice for _, choice in fits if isinstance(choice, Choice)]
    if fitting:
        return max(fitting, key=lambda choice: _speed(choice, hardware))
    least, refusal = min(fits, key=lambda pair: pair[0].least_gib)
    return Refusal(why=refusal.why if len(fits) == 1 else f"not even {least.name} fits: {refusal.why}")


def _speed(choice: Choice, hardware: Hardware) -> tuple[int, int, str]:
    """vLLM wherever a GPU can run it, then llama.cpp on GPUs. On a processor it depends on its kernels for bf16: with
    AVX512_BF16 SmolLM2 writes 218 tok/s to sixteen requests by vLLM, and 90 by llama.cpp; with AVX2 alone 57 by vLLM in
    float32, 20 in bf16, and 130 by llama.cpp."""
    profile = choice.profile
    on_processor = ("llama.cpp", "vllm-cpu") if hardware.cpu.has_bf16 else ("vllm-cpu", "llama.cpp")
    place = 3 if profile.engine == "vllm" else 2 if choice.gpus else on_processor.index(profile.engine)
    return place, profile.rank, profile.name


def _best(hardware: Hardware, profiles: Mapping[str, Profile], lane: Lane, engine: EngineName) -> Choice:
    candidates = [profile for profile in profiles.values() if lane in profile.lanes]
    fitting = [choice for profile in candidates if isinstance(choice := fit(profile, hardware), Choice)]
    # A small model is for the processor, even if llama.cpp could put it on a card, too.
    on_cards = [choice for choice in fitting if choice.gpus and not choice.profile.on_cpu]
    if on_cards:
        # A profile for this lane alone comes first: a small model for lane `fast`, even if a larger one would fit.
        return max(
            on_cards,
            key=lambda choice: (
                choice.profile.engine == "vllm",
                choice.profile.lanes == (lane,),
                choice.profile.rank,
                choice.profile.name,
            ),
        )
    choice = _on_processor(hardware, profiles)
    if isinstance(choice, Refusal):
        raise InvalidInput("model", "auto", choice.why)
    why = f"no profile for lane {lane} fits into {name_cards(hardware)}" if hardware.gpus else hardware.note or "no GPU"
    return dataclasses.replace(choice, why=f"{why}: {choice.why}{_hint(candidates, hardware)}")


def _on_processor(hardware: Hardware, profiles: Mapping[str, Profile]) -> Choice | Refusal:
    small = _preferred(_members(SMALL_CPU_MODEL, profiles.values()), hardware)
    enough = STRONG_BF16_CORES if hardware.cpu.has_bf16 else STRONG_CORES
    if hardware.cpu.cores < enough or hardware.ram_gib < STRONG_RAM_GIB:
        return small
    strong = _preferred(_members(STRONG_CPU_MODEL, profiles.values()), hardware)
    return strong if isinstance(strong, Choice) else small


def _members(family: str, profiles: Iterable[Profile]) -> list[Profile]:
    return [profile for profile in profiles if family in (profile.family, profile.name)]


def _hint(candidates: Sequence[Profile], hardware: Hardware) -> str:
    """What a llama.cpp that can use the cards would make possible, where the one that is there can't."""
    if hardware.offload or not hardware.gpus:
        return ""
    able = dataclasses.replace(hardware, offload=True)
    better = [choice for profile in candidates if isinstance(choice := fit(profile, able), Choice) and choice.gpus]
    better = [choice for choice in better if choice.profile.engine == "llama.cpp" and not choice.profile.on_cpu]
    if not better:
        return ""
    best = max(better, key=lambda choice: choice.profile.rank)
    fits = f"{best.profile.name} would fit on the GPU: set REDRAFT_LLAMA_SERVER to a llama-server that can use it"
    return f"; {fits}, since the llama.cpp of the registry can't"
