"""Compares two texts as mathematics, in the sandbox. Must not know how the sandbox confines, nor when two expressions
are the same."""

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
    """The result of a comparison, as inside/same_math.py reports it."""

    SAME = "same"
    OTHER = "other"
    UNREADABLE = "unreadable"
    UNREADABLE_EXPECTED = "unreadable expected"


def compare(expected: str, answer: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Comparison | None:
    """Whether the two are the same; None where the check's limits did not suffice to decide.

    Raises `SandboxUnavailable` and what `heartbeat` raises.
    """
    nonce = secrets.token_hex(16)
    request = {"nonce": nonce, "expected": expected, "given": answer}
    result = sandbox.run(job_of("same_math", request, check), heartbeat)
    return _comparison(report_of(result.report), nonce)


def is_readable(expression: str) -> bool:
    """Whether a user's text is a mathematical expression; decided in a child process, which can be killed."""
    request = {"nonce": "", "expected": expression, "given": expression, "report": 1}
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-m", f"{__package__}.inside.same_math"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=READING_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return _comparison(report_of(process.stdout), "") is Comparison.SAME


def _comparison(report: Any, nonce: str) -> Comparison | None:
    if not isinstance(report, list) or len(report) != 2 or report[0] != nonce or report[1] not in list(Comparison):
        return None
    return Comparison(report[1])
