"""A plugin of vLLM on the CPU: its processes sleep between two looks at the memory that they share.

vLLM 0.32 asks `sched_yield` between them, for up to a second after each message: while the worker computes a step, the
process that schedules takes a whole core, which the model and the checks of its answers want. A step takes 10 to 250 ms
here, so 0.2 ms later is soon enough. Runs in the engine's own environment and imports nothing of ours.
"""

from __future__ import annotations

import time

SECONDS = 0.0002


def register() -> None:
    """Called by vLLM in each of its processes before they talk to each other. One that has no such function is left
    as it is."""
    from vllm.distributed.device_communicators import shm_broadcast

    if hasattr(shm_broadcast, "sched_yield"):
        shm_broadcast.sched_yield = lambda: time.sleep(SECONDS)
