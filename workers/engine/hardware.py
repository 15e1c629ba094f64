"""What this machine has, and which profile it can hold. The choice is pure; only `detect` looks."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.errors import InvalidInput
from workers.engine.profiles import Profile

CPU_DEFAULT = "smollm2-135m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The memory of each GPU in GiB; empty where there is none."""

    gpu_memory_gib: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A profile, the number of GPUs it is spread over, and the arithmetic behind it."""

    profile: Profile
    gpus: int
    why: str


def detect() -> Hardware:
    """The GPUs that the NVIDIA driver reports."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return Hardware()
    return Hardware(gpu_memory_gib=tuple(int(line) / 1024 for line in told.splitlines() if line.strip().isdigit()))


def choose(name: str, hardware: Hardware, profiles: Mapping[str, Profile]) -> Choice:
    """The profile called `name`, or for `auto` the best that the hardware can hold.

    Raises `InvalidInput` for an unknown name, and with the arithmetic where it can't fit.
    """
    if name == "auto":
        fitting = [choice for p in profiles.values() if p.engine == "vllm" and (choice := fit(p, hardware))]
        if fitting:
            return max(fitting, key=lambda choice: choice.profile.rank)
        cards = len(hardware.gpu_memory_gib)
        why = "no GPU was found" if not cards else f"no profile fits into {_cards(hardware)}"
        return Choice(profile=profiles[CPU_DEFAULT], gpus=0, why=f"{why}: the small model on the CPU")
    if name not in profiles:
        raise InvalidInput("model", name, f"known profiles are auto, {', '.join(sorted(profiles))}")
    choice = fit(profiles[name], hardware)
    if choice is None:
        needs = (
            f"needs {profiles[name].gpu_memory_gib:g} GiB of GPU memory over at most {profiles[name].max_gpus} cards"
        )
        raise InvalidInput("model", name, f"it {needs}; this machine has {_cards(hardware)}")
    return choice


def fit(profile: Profile, hardware: Hardware) -> Choice | None:
    """How a profile fits, on as few cards as possible (a power of two, as tensor parallelism wants); or None.

    Every card of a tensor-parallel group holds the same share, so the smallest of them counts.
    """
    if profile.engine == "vllm-cpu":
        return Choice(profile=profile, gpus=0, why="runs on the CPU")
    largest = sorted(hardware.gpu_memory_gib, reverse=True)
    gpus = 1
    while gpus <= min(profile.max_gpus, len(largest)):
        if largest[gpus - 1] * gpus >= profile.gpu_memory_gib:
            why = f"{profile.gpu_memory_gib:g} GiB fit into {gpus} × {largest[gpus - 1]:.0f} GiB"
            return Choice(profile=profile, gpus=gpus, why=why)
        gpus *= 2
    return None


def _cards(hardware: Hardware) -> str:
    return ", ".join(f"{size:.0f} GiB" for size in hardware.gpu_memory_gib) or "no GPU"
