"""The job that runs one of our own comparisons in the sandbox, and its report. Must not know what is compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from tasks.ports import SandboxJob
from tasks.types import CheckSpec

_REPORT_FD = 9  # as in inside/serve.py
_FOLDER = "tasks/validators/inside"


def job_of(modules: Sequence[str], order: Mapping[str, Any], check: CheckSpec) -> SandboxJob:
    """A job that runs the first of `modules`, beside the others and `serve`, on `order`."""
    packages = ("tasks", "tasks/validators", _FOLDER)
    files: dict[str, str | bytes] = {f".redraft/{package}/__init__.py": b"" for package in packages}
    files |= {f".redraft/{_FOLDER}/{name}.py": _source(name) for name in (*modules, "serve")}
    return SandboxJob(
        argv=("python", "-P", "-s", f".redraft/{_FOLDER}/{modules[0]}.py"),
        files=files,
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


def _source(name: str) -> str:
    return resources.files("tasks.validators").joinpath(f"inside/{name}.py").read_text(encoding="utf-8")
