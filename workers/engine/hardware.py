"""What this machine has, as NVML and the operating system tell it."""

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
    """One card. `index` is NVML's, in the order of the PCI bus; `compute_capability` is for example 9.0."""

    index: int
    name: str
    memory_gib: float
    compute_capability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What engines can run on. `note` says why no card is listed where a driver is there but fails."""

    gpus: tuple[Gpu, ...] = ()
    ram_gib: float = 0.0
    driver: str = ""
    note: str = ""


def detect() -> Hardware:
    """This machine. A machine without NVIDIA's driver has no GPU; that is no fault."""
    ram_gib = psutil.virtual_memory().total / GIB
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        missing = pynvml.NVMLError_LibraryNotFound
        note = "no NVIDIA driver is installed" if isinstance(error, missing) else f"the NVIDIA driver fails: {error}"
        return Hardware(ram_gib=ram_gib, note=note)
    try:
        cards = tuple(_card(index) for index in range(pynvml.nvmlDeviceGetCount()))
        driver = str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as error:
        return Hardware(ram_gib=ram_gib, note=f"the NVIDIA driver fails: {error}")
    finally:
        pynvml.nvmlShutdown()
    return Hardware(gpus=cards, ram_gib=ram_gib, driver=driver)


def only(hardware: Hardware, gpus: frozenset[int] | None) -> Hardware:
    """The machine with these of its cards, by NVML's numbers; with all where there is no choice. Raises
    `InvalidInput`."""
    if gpus is None:
        return hardware
    there = {gpu.index for gpu in hardware.gpus}
    if missing := sorted(gpus - there):
        known = ", ".join(map(str, sorted(there))) or "none"
        raise InvalidInput("gpus", ",".join(map(str, missing)), f"this machine's cards are: {known}")
    return dataclasses.replace(hardware, gpus=tuple(gpu for gpu in hardware.gpus if gpu.index in gpus))


def imagine(cards: Sequence[str]) -> Hardware:
    """A machine with these cards, each as GIB:CAPABILITY (`15.9:12.0`), and the rest of this one.

    Raises `InvalidInput`.
    """
    made = []
    for index, told in enumerate(cards):
        found = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", told)
        if found is None:
            raise InvalidInput("--card", told, "memory and compute capability, such as 15.9:12.0 or 79.6:9.0")
        memory, capability = map(float, found.groups())
        made.append(Gpu(index=index, name="imagined card", memory_gib=memory, compute_capability=capability))
    return Hardware(gpus=tuple(made), ram_gib=psutil.virtual_memory().total / GIB)


def _card(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        index=index,
        name=str(pynvml.nvmlDeviceGetName(handle)),
        memory_gib=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) / GIB,
        compute_capability=float(f"{major}.{minor}"),
    )
