"""Reads what an evaluator printed: one JSON object with a score, or one number, as its whole output or its last line.
Pure; must not know how the evaluator was run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.validators.text import clipped, printable

# Beyond it two values could differ by more than a double holds.
LARGEST = 1e100
METRICS = 50
NAME_CHARS = 100
FEEDBACK_CHARS = 1500
SHOWN_CHARS = 60


class Unreadable(ValueError):
    """The output holds no score; the message says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What an evaluator says of a candidate. `value` is None where it says that the candidate is invalid."""

    value: float | None
    feedback: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


def read(output: str) -> Measurement:
    """The one measurement in an evaluator's standard output. Raises `Unreadable`."""
    text = output.strip()
    if not text:
        raise Unreadable("it printed nothing")
    result = _parsed(text)
    if result is None:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        result = _parsed(lines[-1])
        if result is None:
            raise Unreadable(f"its last line is no score: {_short(lines[-1])}")
        # What runs beside the evaluator's own code may print a result, too: nobody could say which of two counts.
        if any(isinstance(_parsed(line), Mapping) for line in lines[:-1]):
            raise Unreadable("it printed several results")
    return _of_object(result) if isinstance(result, Mapping) else Measurement(value=_number("its score", result))


def _of_object(result: Mapping[str, Any]) -> Measurement:
    valid, said = result.get("valid", True), result.get("feedback")
    if not isinstance(valid, bool):
        raise Unreadable(f"`valid` is {_short(json.dumps(valid))}, not true or false")
    if said is not None and not isinstance(said, str):
        raise Unreadable(f"`feedback` is {_short(json.dumps(said))}, not a text")
    feedback = clipped(printable(said or "").strip(), FEEDBACK_CHARS)
    if not valid:
        return Measurement(value=None, feedback=feedback)
    if "score" not in result:
        raise Unreadable("its JSON object has no `score`")
    return Measurement(
        value=_number("`score`", result["score"]), feedback=feedback, metrics=_metrics(result.get("metrics"))
    )


def _metrics(metrics: Any) -> dict[str, float]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping) or len(metrics) > METRICS:
        raise Unreadable(f"`metrics` is no object of at most {METRICS} numbers")
    return {
        clipped(printable(name), NAME_CHARS): _number(f"`metrics.{_short(name)}`", value)
        for name, value in metrics.items()
    }


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"{name} is {_short(json.dumps(value))}, not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(f"{name} is {value}, not a finite number")
    if abs(value) > LARGEST:
        raise Unreadable(f"{name} is larger than {LARGEST:g}")
    return float(value)


def _parsed(text: str) -> Any:
    """The JSON object or number that a text is; None for any other text. NaN and infinities are read as such."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # a number of very many digits is a ValueError, too
        return None
    return value if isinstance(value, Mapping | int | float) and not isinstance(value, bool) else None


def _short(text: str) -> str:
    return clipped(" ".join(printable(text).split()), SHOWN_CHARS)
