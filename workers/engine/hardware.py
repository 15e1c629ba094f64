"""The hardware of this machine, from NVML and the operating system."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import pynvml

from tasks.errors import InvalidInput

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU. `index` is NVML's, in the order of the PCI bus; `compute_capability` is for example 9.0."""

    index: int
    name: str
    memory_gib: float
    compute_capability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The hardware for engines. `note` says why there are no GPUs if the driver is missing or fails."""

    gpus: tuple[Gpu, ...] = ()
    ram_gib: float = 0.0
    driver: str = ""
    note: str = ""


def detect() -> Hardware:
    """The hardware of this machine. A machine without NVIDIA's driver has no GPU, which is no error."""
    ram_gib = psutil.virtual_memory().total / GIB
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        missing = pynvml.NVMLError_LibraryNotFound
        note = "no NVIDIA driver is installed" if isinstance(error, missing) else f"the NVIDIA driver fails: {error}"
        return Hardware(ram_gib=ram_gib, note=note)
    try:
        cards = tuple(_gpu(index) for index in range(pynvml.nvmlDeviceGetCount()))
        driver = str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as error:
        return Hardware(ram_gib=ram_gib, note=f"the NVIDIA driver fails: {error}")
    finally:
        pynvml.nvmlShutdown()
    return Hardware(gpus=cards, ram_gib=ram_gib, driver=driver)


def only(hardware: Hardware, gpus: frozenset[int] | None) -> Hardware:
    """The hardware restricted to these GPUs, by NVML's numbers; None keeps all. Raises `InvalidInput`."""
    if gpus is None:
        return hardware
    available = {gpu.index for gpu in hardware.gpus}
    if unknown := sorted(gpus - available):
        known = ", ".join(map(str, sorted(available))) or "none"
        raise InvalidInput("gpus", ",".join(map(str, unknown)), f"this machine's cards are: {known}")
    return dataclasses.replace(hardware, gpus=tuple(gpu for gpu in hardware.gpus if gpu.index in gpus))


def imagine(cards: Sequence[str]) -> Hardware:
    """This machine with other GPUs, each as GIB:CAPABILITY (`15.9:12.0`).

    Raises `InvalidInput`.
    """
    gpus = []
    for index, card in enumerate(cards):
        match = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", card)
        if match is None:
            raise InvalidInput("--card", card, "memory and compute capability, such as 15.9:12.0 or 79.6:9.0")
        memory, capability = map(float, match.groups())
        gpus.append(Gpu(index=index, name="imagined card", memory_gib=memory, compute_capability=capability))
    return Hardware(gpus=tuple(gpus), ram_gib=psutil.virtual_memory().total / GIB)


def _gpu(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        index=index,
        name=str(pynvml.nvmlDeviceGetName(handle)),
        memory_gib=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) / GIB,
        compute_capability=float(f"{major}.{minor}"),
    )
