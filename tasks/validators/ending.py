"""How a sandboxed program ended, in words for the model. Pure."""

from __future__ import annotations

import signal

from tasks.types import CheckSpec, SandboxResult


def ended(result: SandboxResult, check: CheckSpec) -> str | None:
    """Which limit the program exceeded, or that it crashed; None where it ended by itself."""
    match result.killed:
        case None:
            return f"it crashed ({_signal(result.exit_code)})" if result.exit_code > 128 else None
        case "wall" | "cpu":
            return f"it took more than the {check.timeout_seconds:g} s allowed"
        case "memory":
            return f"it used more than the {check.memory_mb} MB of memory allowed"
        case "processes":
            return "it started too many processes or threads"
        case "output":
            return "it wrote far too much"
        case other:
            return f"it passed the limit on {other}"


def _signal(exit_code: int) -> str:
    try:
        return signal.Signals(exit_code - 128).name
    except ValueError:
        return f"exit code {exit_code}"
