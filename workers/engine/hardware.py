"""The hardware of this machine, from NVML and the operating system; or an imagined one."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import pynvml

from tasks.errors import InvalidInput
from workers.engine.cpu import Cpu, imagine_cpu, read_cpu
from workers.engine.limits import memory_limit

GIB = 1 << 30
CARD = r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU. `index` is NVML's, in the order of the PCI bus; `compute_capability` is for example 9.0. `free_gib` is
    what other programs leave of its memory, None where nobody asked."""

    index: int
    name: str
    memory_gib: float
    compute_capability: float
    free_gib: float | None = None

    @property
    def left_gib(self) -> float:
        """The memory that an engine can have."""
        return self.memory_gib if self.free_gib is None else self.free_gib


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The hardware for engines. `ram_gib` is all memory that this process may use, `available_gib` what of it is free.

    `note` says why there are no GPUs if the driver is missing or fails. `offload` says whether the llama.cpp that would
    run can use the GPUs: the one from the registry can't.
    """

    gpus: tuple[Gpu, ...] = ()
    ram_gib: float = 0.0
    available_gib: float = math.inf
    cpu: Cpu = field(default_factory=Cpu)
    offload: bool = False
    driver: str = ""
    note: str = ""


def detect(own: frozenset[int] = frozenset()) -> Hardware:
    """The hardware of this machine. A machine without NVIDIA's driver has no GPU, which is no error.

    The memory that the processes `own` use counts as free: an engine that is adopted or replaced gives it back.
    """
    ram_gib, available_gib = _memory(own)
    host = Hardware(ram_gib=ram_gib, available_gib=available_gib, cpu=read_cpu())
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        missing = pynvml.NVMLError_LibraryNotFound
        note = "no NVIDIA driver is installed" if isinstance(error, missing) else f"the NVIDIA driver fails: {error}"
        return dataclasses.replace(host, note=note)
    try:
        cards = tuple(_gpu(index, own) for index in range(pynvml.nvmlDeviceGetCount()))
        driver = str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as error:
        return dataclasses.replace(host, note=f"the NVIDIA driver fails: {error}")
    finally:
        pynvml.nvmlShutdown()
    return dataclasses.replace(host, gpus=cards, driver=driver)


def only(hardware: Hardware, gpus: frozenset[int] | None) -> Hardware:
    """The hardware restricted to these GPUs, by NVML's numbers; None keeps all. Raises `InvalidInput`."""
    if gpus is None:
        return hardware
    available = {gpu.index for gpu in hardware.gpus}
    if unknown := sorted(gpus - available):
        known = ", ".join(map(str, sorted(available))) or "none"
        raise InvalidInput("gpus", ",".join(map(str, unknown)), f"this machine's cards are: {known}")
    return dataclasses.replace(hardware, gpus=tuple(gpu for gpu in hardware.gpus if gpu.index in gpus))


def imagine(cards: Sequence[str], cpu: str = "") -> Hardware:
    """This machine with other GPUs, each as GIB:CAPABILITY (`15.9:12.0`) or GIB:CAPABILITY:FREE, and with another
    processor, as KIND:CORES:GIB (`avx2:8:16`). llama.cpp is imagined as one that can use the GPUs.

    Raises `InvalidInput`.
    """
    processor, ram_gib = _imagined_cpu(cpu) if cpu else (read_cpu(), _memory(frozenset())[0])
    gpus = tuple(_imagined_card(index, card) for index, card in enumerate(cards))
    return Hardware(gpus=gpus, ram_gib=ram_gib, cpu=processor, offload=bool(gpus), note="" if gpus else "no GPU")


def _imagined_card(index: int, card: str) -> Gpu:
    match = re.fullmatch(CARD, card)
    if match is None:
        raise InvalidInput("--card", card, "memory and compute capability, such as 15.9:12.0 or 79.6:9.0")
    memory, capability, free = match.groups()
    return Gpu(
        index=index,
        name="imagined card",
        memory_gib=float(memory),
        compute_capability=float(capability),
        free_gib=float(free) if free else None,
    )


def _imagined_cpu(cpu: str) -> tuple[Cpu, float]:
    match = re.fullmatch(r"([a-z0-9_]+):(\d+):(\d+(?:\.\d+)?)", cpu)
    if match is None:
        raise InvalidInput("--cpu", cpu, "kind, cores and GiB of memory, such as avx2:8:16 or amx:32:128")
    kind, cores, ram_gib = match.groups()
    return imagine_cpu(kind, int(cores)), float(ram_gib)


def _memory(own: frozenset[int]) -> tuple[float, float]:
    """GiB in all and GiB available, within the cgroup's limit."""
    machine, limit = psutil.virtual_memory(), memory_limit()
    total, available = machine.total, machine.available
    if limit is not None:
        total, available = min(total, limit[0]), min(available, max(0, limit[0] - limit[1]))
    return total / GIB, min(total, available + sum(map(_resident, own))) / GIB


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _gpu(index: int, own: frozenset[int]) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        index=index,
        name=str(pynvml.nvmlDeviceGetName(handle)),
        memory_gib=int(memory.total) / GIB,
        compute_capability=float(f"{major}.{minor}"),
        free_gib=_free_gib(handle, memory, own),
    )


def _free_gib(handle: Any, memory: Any, own: frozenset[int]) -> float | None:
    """None where an engine of ours runs and the driver does not tell its share, as in some containers."""
    running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle) if own else []
    used = [process.usedGpuMemory for process in running if process.pid in own]
    if own and (not used or None in used):
        return None
    return min(int(memory.total), int(memory.free) + sum(map(int, used))) / GIB
