"""The sandbox job that runs one of our own comparison programs, and its report. Must not know what is compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.types import CheckSpec, SandboxJob
from tasks.validators.programs import argv_of

_REPORT_FD = 9  # as in inside/serve.py


def job_of(program: str, request: Mapping[str, Any], check: CheckSpec) -> SandboxJob:
    """A job that runs one of our programs with `request` as its input."""
    return SandboxJob(
        argv=argv_of(program),
        stdin=json.dumps(request).encode(),
        timeout_seconds=check.timeout_seconds,
        memory_mb=check.memory_mb,
        report_fd=_REPORT_FD,
        servable=True,
    )


def report_of(content: bytes) -> Any:
    """What the program reported; None where it was killed before that."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
