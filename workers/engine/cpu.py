"""The processor: its instruction set, and how many of its cores an engine may keep busy."""

from __future__ import annotations

import math
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InvalidInput
from tasks.settings import kernel_limits
from workers.engine.limits import cpu_quota

CPUINFO = Path("/proc/cpuinfo")
TOPOLOGY = Path("/sys/devices/system/cpu")
# The extensions that decide which engine is fast: x86's vectors and their integer and bf16 products, and Arm's.
EXTENSIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "i8mm", "bf16")
# Products of bf16 in hardware: without them oneDNN converts at each step, and bf16 is slower than float32.
BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
# What `--cpu` may name, and what such a processor has.
NAMES = {
    "avx2": ("avx2",),
    "avx512": ("avx2", "avx512f", "avx512_vnni"),
    "avx512_bf16": ("avx2", "avx512f", "avx512_vnni", "avx512_bf16"),
    "amx": ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"),
    "neon": ("asimd",),
    "arm_bf16": ("asimd", "i8mm", "bf16"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """A processor as this process may use it. `cores` counts physical cores within affinity and quota, at least 1."""

    name: str = "unknown"
    extensions: frozenset[str] = frozenset()
    cores: int = 1

    @property
    def has_bf16(self) -> bool:
        """Whether there are kernels for bf16."""
        return bool(self.extensions & BF16)

    @property
    def words(self) -> str:
        """For people: `AMD EPYC, 2 cores, avx2 avx512f`."""
        shown = " ".join(name for name in EXTENSIONS if name in self.extensions) or "no vector extension known here"
        return f"{self.name}, {self.cores} core{'' if self.cores == 1 else 's'}, {shown}"


def read_cpu(cpuinfo: Path = CPUINFO, topology: Path = TOPOLOGY) -> Cpu:
    """This machine's processor, as far as oneDNN and ATen are allowed to use it."""
    fields = _fields(cpuinfo)
    flags = restricted(frozenset(fields.get("flags", fields.get("features", "")).split()), *kernel_limits())
    name = fields.get("model name") or platform.processor() or platform.machine()
    return Cpu(name=name, extensions=flags & frozenset(EXTENSIONS), cores=_usable_cores(topology))


def restricted(flags: frozenset[str], onednn: str, aten: str) -> frozenset[str]:
    """The flags that are left under ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY, with which a user makes a processor an
    older one; both empty leave all. `aten` below AVX-512 takes all of it away."""
    hidden = set[str]()
    level = onednn.upper()
    if level and level != "DEFAULT":
        hidden |= {"amx_bf16"} if "AMX" not in level else set()
        hidden |= {"avx512_bf16"} if not re.search("AMX|BF16|FP16|AVX10", level) else set()
        hidden |= {"avx512f", "avx512_vnni"} if not re.search("AMX|AVX512|AVX10", level) else set()
    if aten.lower() in ("default", "avx2"):
        hidden |= {flag for flag in flags if flag.startswith(("avx512", "amx"))}
    return flags - hidden


def imagine_cpu(kind: str, cores: int) -> Cpu:
    """A processor that is not there, by one of `NAMES`. Raises `InvalidInput`."""
    if kind not in NAMES or cores < 1:
        raise InvalidInput("--cpu", f"{kind}:{cores}", f"KIND:CORES:GIB with a kind of {', '.join(NAMES)}")
    return Cpu(name="imagined processor", extensions=frozenset(NAMES[kind]), cores=cores)


def _usable_cores(topology: Path) -> int:
    """Two threads of one core share its units, so a second one gains an engine nothing."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = {_core(topology, number) for number in allowed}
    quota = cpu_quota()
    return max(1, min(len(cores), math.floor(quota) if quota else len(cores)))


def _core(topology: Path, number: int) -> str:
    try:
        return (topology / f"cpu{number}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(number)


def _fields(cpuinfo: Path) -> dict[str, str]:
    """The fields of the first processor; Arm writes `Features` for what x86 calls `flags`."""
    try:
        first = cpuinfo.read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
