"""Compares two texts as mathematics. A request is {nonce, expected, given}; the report is [nonce, word], where the word
is same, other, unreadable or "unreadable expected".

It runs in the sandbox because symbolic mathematics on hostile input (towers of powers) can take any amount of time and
memory. `ops/docs/answers.md` shows what counts as the same.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .mathvalue import Value

PACKAGES = "/opt/redraft/math"


def main() -> None:
    """Compares and reports."""
    sys.path.insert(0, PACKAGES)
    sys.set_int_max_str_digits(0)  # 2004! is an ordinary answer, and time and memory are limited anyway
    from . import serve

    serve.run(_report, _warm_up)


def compare(expected: str, answer: str) -> str:
    """The report's word for two texts."""
    from .mathtext import Unreadable
    from .mathvalue import readings

    try:
        expected_values = readings(expected)
    except Unreadable:
        return "unreadable expected"
    try:
        answers = readings(answer)
    except Unreadable:
        return "unreadable"
    return "same" if any(_same(value, other) for value in expected_values for other in answers) else "other"


def _report(request: Mapping[str, Any]) -> list[Any]:
    return [request["nonce"], compare(request["expected"], request["given"])]


def _warm_up() -> None:
    """Loads what a comparison needs: the grammar, and the parts of sympy that simplify."""
    for expected, answer in (("x^2+2x+1", "(x+1)^2"), ("\\sqrt{2}/2", "1/\\sqrt{2}"), ("\\sin^2 x", "1-\\cos^2 x")):
        compare(expected, answer)


def _same(expected: Value, answer: Value) -> bool:
    from . import matching

    return matching.same(expected, answer)


__all__: Sequence[str] = ("compare", "main")

if __name__ == "__main__":
    main()
