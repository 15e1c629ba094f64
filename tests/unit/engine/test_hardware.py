"""What is read of a processor and of a cgroup, and what is imagined."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from workers.engine.cpu import read_cpu, restricted
from workers.engine.hardware import imagine
from workers.engine.limits import cpu_quota, memory_limit

X86 = """processor\t: 0
model name\t: Imaginary Zen
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 avx512_vnni hypervisor

processor\t: 1
flags\t\t: fpu
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm bf16 sve\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "extensions", "bf16"),
    [
        (X86, {"avx2", "avx512f", "avx512_bf16", "avx512_vnni"}, True),
        (X86.replace("avx512_bf16", ""), {"avx2", "avx512f", "avx512_vnni"}, False),
        (ARM, {"asimd", "i8mm", "bf16"}, True),
        (ARM.replace("i8mm bf16", ""), {"asimd"}, False),
        ("", set(), False),
    ],
)
def test_the_instruction_set_is_read_from_the_first_processor(
    text: str, extensions: set[str], bf16: bool, tmp_path: Path
) -> None:
    cpu = read_cpu(write(tmp_path, {"cpuinfo": text}) / "cpuinfo")
    assert (cpu.extensions, cpu.has_bf16) == (extensions, bf16)
    assert cpu.cores >= 1


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    same = {f"cpu{number}/topology/thread_siblings_list": "0-63\n" for number in range(64)}
    assert read_cpu(tmp_path / "none", write(tmp_path, same)).cores == 1


@pytest.mark.parametrize(
    ("onednn", "aten", "left"),
    [
        ("", "", {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}),
        ("avx512_core_bf16", "", {"avx2", "avx512f", "avx512_bf16"}),
        ("AVX512_CORE_VNNI", "", {"avx2", "avx512f"}),
        ("AVX2", "", {"avx2"}),
        ("", "avx2", {"avx2"}),
        ("AVX512_CORE_AMX", "default", {"avx2"}),
    ],
)
def test_a_processor_that_its_user_makes_an_older_one_is_an_older_one(onednn: str, aten: str, left: set[str]) -> None:
    assert restricted(frozenset({"avx2", "avx512f", "avx512_bf16", "amx_bf16"}), onednn, aten) == left


def test_the_tightest_group_of_version_2_holds(tmp_path: Path) -> None:
    files = {
        "self": "0::/pod/box\n",
        "fs/pod/cpu.max": "150000 100000\n",
        "fs/pod/box/cpu.max": "max 100000\n",
        "fs/pod/memory.max": "8000\n",
        "fs/pod/memory.current": "5000\n",
        "fs/pod/memory.stat": "anon 4000\ninactive_file 1000\n",
        "fs/pod/box/memory.max": "max\n",
    }
    write(tmp_path, files)
    assert cpu_quota(tmp_path / "fs", tmp_path / "self") == 1.5
    assert memory_limit(tmp_path / "fs", tmp_path / "self") == (8000, 4000)


def test_a_container_sees_its_own_group_of_version_1_as_the_root(tmp_path: Path) -> None:
    files = {
        "self": "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
        "fs/cpu/cpu.cfs_quota_us": "400000\n",
        "fs/cpu/cpu.cfs_period_us": "100000\n",
        "fs/memory/memory.limit_in_bytes": "9000\n",
        "fs/memory/memory.usage_in_bytes": "3000\n",
    }
    write(tmp_path, files)
    assert cpu_quota(tmp_path / "fs", tmp_path / "self") == 4.0
    assert memory_limit(tmp_path / "fs", tmp_path / "self") == (9000, 3000)


def test_no_limit_is_none(tmp_path: Path) -> None:
    files = {
        "self": "4:memory:/\n1:cpu:/\n0::/\n",
        "fs/cpu/cpu.cfs_quota_us": "-1\n",
        "fs/cpu/cpu.cfs_period_us": "100000\n",
        "fs/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    write(tmp_path, files)
    assert cpu_quota(tmp_path / "fs", tmp_path / "self") is None
    assert memory_limit(tmp_path / "fs", tmp_path / "self") is None


def test_a_machine_can_be_imagined() -> None:
    hardware = imagine(["15.9:12.0", "24:8.6:20.5"], "avx2:8:16")
    assert [(gpu.memory_gib, gpu.left_gib) for gpu in hardware.gpus] == [(15.9, 15.9), (24.0, 20.5)]
    assert (hardware.cpu.cores, hardware.cpu.has_bf16, hardware.ram_gib, hardware.offload) == (8, False, 16.0, True)


@pytest.mark.parametrize("cpu", ["avx2", "avx2:8", "avx2:0:16", "sse9:8:16", "avx2:8:lots"])
def test_a_processor_that_can_not_be_is_refused_with_what_can(cpu: str) -> None:
    with pytest.raises(InvalidInput, match="--cpu"):
        imagine([], cpu)
