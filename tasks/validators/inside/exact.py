"""Decides whether two sympy expressions are exactly equal: True only where algebra proves it.

Digits alone never make two expressions equal; they are only computed to find out that two expressions differ.
Must not know where the expressions come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DIGITS = 60
# The relative difference at which two numbers, computed to DIGITS digits, are certainly different.
MIN_DIFFERENCE = 10**-40
# Fractions from which the values of symbols are made: no poles or zeros of ordinary answers.
POINTS = ((17, 23), (41, 29), (-13, 37))


def equal(left: Any, right: Any) -> bool:
    """Whether the two are the same for all values of their symbols; an undefined value is equal to nothing."""
    import sympy

    if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
        return bool(left == right)
    left, right = left.doit(), right.doit()
    if any(side.has(sympy.nan, sympy.zoo) for side in (left, right)):
        return False
    if left == right or any(side.has(sympy.oo, -sympy.oo) for side in (left, right)):
        return bool(left == right)
    difference = left - right
    if difference.is_Rational:
        return bool(difference == 0)
    return not _differs_somewhere(left, right) and _vanishes(difference)


def ratio_of(left: Any, right: Any) -> Any:
    """The number by which `right` must be multiplied to give `left`; None where there is none."""
    import sympy

    if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
        return None
    left, right = left.doit(), right.doit()
    if equal(left, sympy.Integer(0)) or equal(right, sympy.Integer(0)):
        return None
    ratio = sympy.simplify(left / right)
    if ratio.free_symbols or ratio.has(sympy.nan, sympy.zoo, sympy.oo, sympy.core.function.AppliedUndef):
        return None
    return ratio


def _differs_somewhere(left: Any, right: Any) -> bool:
    """Whether their values certainly differ, as numbers or at one of the points."""
    for values in _points(left.free_symbols | right.free_symbols):
        pair = [_number(side.subs(values)) for side in (left, right)]
        if None in pair:
            continue
        size = max(abs(pair[0]), abs(pair[1]))
        if abs(pair[0] - pair[1]) > size * MIN_DIFFERENCE:
            return True
    return False


def _points(symbols: set[Any]) -> Iterator[dict[Any, Any]]:
    import sympy

    ordered = sorted(symbols, key=str)
    for numerator, denominator in POINTS if ordered else POINTS[:1]:
        yield {
            symbol: sympy.Rational(numerator + 2 * index, denominator + index) for index, symbol in enumerate(ordered)
        }


def _number(value: Any) -> Any:
    """The first DIGITS digits of a value; None where they can't be computed."""
    try:
        number = value.evalf(DIGITS, maxn=400, strict=False)
    except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
        return None
    return number if number.is_number and number.is_finite else None


def _vanishes(difference: Any) -> bool:
    """Whether algebra simplifies the difference to zero."""
    import sympy

    simplifiers = (
        sympy.expand,
        sympy.radsimp,
        sympy.together,
        sympy.trigsimp,
        sympy.simplify,
        _with_factorials,
        _with_logs,
    )
    for simplify in simplifiers:
        try:
            if simplify(difference) == 0:
                return True
        except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
            continue
    return not difference.free_symbols and _is_algebraic_zero(difference)


def _with_factorials(difference: Any) -> Any:
    import sympy

    return sympy.gammasimp(sympy.combsimp(difference))


def _with_logs(difference: Any) -> Any:
    import sympy

    return sympy.simplify(sympy.expand_log(difference.rewrite(sympy.exp), force=False))


def _is_algebraic_zero(difference: Any) -> bool:
    """Whether a difference of nested roots is zero, by its minimal polynomial."""
    import sympy

    symbol = sympy.Dummy("x")
    if not difference.is_algebraic:
        return False
    try:
        return bool(sympy.minimal_polynomial(difference, symbol) == symbol)
    except (sympy.polys.polyerrors.NotAlgebraic, NotImplementedError, ValueError):
        return False
