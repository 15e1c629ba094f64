"""The job that runs one of our own comparisons in the sandbox, and its report. Must not know what is compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.types import CheckSpec, SandboxJob
from tasks.validators.programs import argv_of

_REPORT_FD = 9  # as in inside/serve.py


def job_of(program: str, order: Mapping[str, Any], check: CheckSpec) -> SandboxJob:
    """A job that runs one of our programs on `order`."""
    return SandboxJob(
        argv=argv_of(program),
        stdin=json.dumps(order).encode(),
        timeout_seconds=check.timeout_seconds,
        memory_mb=check.memory_mb,
        report_fd=_REPORT_FD,
        servable=True,
    )


def report_of(written: bytes) -> Any:
    """What the program reported; None where it was ended first."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return None
