"""Whether two texts are the same mathematics: an order is {nonce, expected, given}, the report [nonce, word], where the
word is same, other, unreadable or "unreadable expected".

Runs in the sandbox because symbolic mathematics on hostile input (towers of powers) takes any amount of time and
memory. `ops/docs/answers.md` shows what is the same.
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
    sys.set_int_max_str_digits(0)  # 2004! is an ordinary answer; time and memory are limited
    from . import serve

    serve.run(_reported, _warm_up)


def compare(expected: str, given: str) -> str:
    """The word for two texts."""
    from .mathtext import Unreadable
    from .mathvalue import readings

    try:
        wanted = readings(expected)
    except Unreadable:
        return "unreadable expected"
    try:
        answers = readings(given)
    except Unreadable:
        return "unreadable"
    return "same" if any(_same(one, other) for one in wanted for other in answers) else "other"


def _reported(order: Mapping[str, Any]) -> list[Any]:
    return [order["nonce"], compare(order["expected"], order["given"])]


def _warm_up() -> None:
    """What a comparison loads on its way: the grammar, and the parts of sympy that simplify."""
    for expected, given in (("x^2+2x+1", "(x+1)^2"), ("\\sqrt{2}/2", "1/\\sqrt{2}"), ("\\sin^2 x", "1-\\cos^2 x")):
        compare(expected, given)


def _same(expected: Value, given: Value) -> bool:
    from . import matching

    return matching.same(expected, given)


__all__: Sequence[str] = ("compare", "main")

if __name__ == "__main__":
    main()
