"""What a llama-server says of its devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.engine.offload import can_offload


@pytest.mark.parametrize(
    ("devices", "can"),
    [
        ("  CUDA0: NVIDIA GeForce RTX 4060 Ti (16379 MiB, 15800 MiB free)", True),
        ("  Vulkan0: AMD Radeon RX 7900 (24560 MiB, 24000 MiB free)", True),
        ("  BLAS: OpenBLAS (0 MiB, 0 MiB free)", False),
        ("  (none)", False),
    ],
)
def test_a_server_that_lists_a_gpu_can_use_it(devices: str, can: bool, tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text(f'#!/bin/sh\n[ "$1" = --list-devices ] || exit 1\necho "Available devices:"\necho "{devices}"\n')
    program.chmod(0o755)
    assert can_offload(program) is can


def test_a_program_that_can_not_be_asked_can_not(tmp_path: Path) -> None:
    assert can_offload(tmp_path / "none") is False
