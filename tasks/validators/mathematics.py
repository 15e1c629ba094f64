"""Compares two texts as mathematics, in the sandbox. Must not know how the sandbox confines, nor what is the same."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from enum import StrEnum
from typing import Any

from tasks.ports import Heartbeat, Sandbox
from tasks.types import CheckSpec
from tasks.validators.comparison import job_of, report_of

READING_SECONDS = 30.0  # at submit: importing sympy on a busy machine takes seconds


class Comparison(StrEnum):
    """What a comparison says, as inside/same_math.py reports it."""

    SAME = "same"
    OTHER = "other"
    UNREADABLE = "unreadable"
    UNREADABLE_EXPECTED = "unreadable expected"


def compare(expected: str, given: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Comparison | None:
    """Whether they are the same; None where that could not be said within the check's limits.

    Raises `SandboxUnavailable` and what `heartbeat` raises.
    """
    nonce = secrets.token_hex(16)
    order = {"nonce": nonce, "expected": expected, "given": given}
    result = sandbox.run(job_of("same_math", order, check), heartbeat)
    return _word(report_of(result.report), nonce)


def is_readable(expression: str) -> bool:
    """Whether what a user wrote says something mathematical; in a child, which can be ended."""
    order = {"nonce": "", "expected": expression, "given": expression, "report": 1}
    try:
        ran = subprocess.run(
            [sys.executable, "-P", "-m", f"{__package__}.inside.same_math"],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=READING_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return _word(report_of(ran.stdout), "") is Comparison.SAME


def _word(report: Any, nonce: str) -> Comparison | None:
    if not isinstance(report, list) or len(report) != 2 or report[0] != nonce or report[1] not in list(Comparison):
        return None
    return Comparison(report[1])
