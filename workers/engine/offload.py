"""Whether a llama-server can use GPUs, by asking it. The one that Redraft installs can't."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ASK_SECONDS = 20.0
# How `llama-server --list-devices` names a GPU: "  CUDA0: NVIDIA GeForce RTX 3090 (24124 MiB, 23456 MiB free)".
DEVICE = re.compile(r"^\s+(CUDA|ROCm|Vulkan|SYCL|MUSA)\d+: ", re.MULTILINE)


def can_offload(program: Path) -> bool:
    """Whether `program` lists a GPU among its devices. False where it can't be asked."""
    argv = [str(program), "--list-devices"]
    try:
        listed = subprocess.run(argv, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(DEVICE.search(listed.stdout + listed.stderr))
