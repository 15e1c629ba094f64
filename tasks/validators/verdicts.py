"""Makes the verdict of a check. Must not know how any check is decided."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.types import CheckSpec, Verdict


def verdict_of(
    check: CheckSpec,
    *,
    feedback: str,
    seconds: float = 0.0,
    passed: bool | None = None,
    score: float | None = None,
    isolation: str = "",
    value: float | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Verdict:
    """The verdict of `check`: it has passed if there is no feedback, unless `passed` says otherwise; the score is then
    1 or 0, unless `score` is given. `value` and `metrics` are what it measured."""
    if passed is None:
        passed = not feedback
    return Verdict(
        check=check.name,
        kind=check.kind,
        passed=passed,
        score=float(passed) if score is None else score,
        held_out=check.held_out,
        feedback=feedback,
        seconds=seconds,
        isolation=isolation,
        value=value,
        metrics=metrics or {},
    )
