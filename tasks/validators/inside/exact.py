"""Whether two expressions of sympy are equal, exactly: True only where that is shown by algebra.

Digits alone never make two expressions equal: they are only counted far enough to see that they differ.
Must not know where the expressions come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DIGITS = 60
# What two numbers must differ by, relative to the larger one, to be different for sure when counted to DIGITS digits.
APART = 10**-40
POINTS = ((17, 23), (41, 29), (-13, 37))  # over these, symbols get values: no pole or zero of an ordinary answer


def equal(left: Any, right: Any) -> bool:
    """Whether they are the same, whatever their symbols are; what is undefined is equal to nothing."""
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
    """The number that `right` times is `left`; None where no number is."""
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
    """Whether their values are apart, as numbers or at one of the points."""
    for values in _points(left.free_symbols | right.free_symbols):
        pair = [_number(side.subs(values)) for side in (left, right)]
        if None in pair:
            continue
        size = max(abs(pair[0]), abs(pair[1]))
        if abs(pair[0] - pair[1]) > size * APART:
            return True
    return False


def _points(symbols: set[Any]) -> Iterator[dict[Any, Any]]:
    import sympy

    named = sorted(symbols, key=str)
    for over, under in POINTS if named else POINTS[:1]:
        yield {symbol: sympy.Rational(over + 2 * place, under + place) for place, symbol in enumerate(named)}


def _number(value: Any) -> Any:
    """Its first DIGITS digits; None where they can't be counted."""
    try:
        number = value.evalf(DIGITS, maxn=400, strict=False)
    except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
        return None
    return number if number.is_number and number.is_finite else None


def _vanishes(difference: Any) -> bool:
    """Whether algebra brings it to zero."""
    import sympy

    ways = (sympy.expand, sympy.radsimp, sympy.together, sympy.trigsimp, sympy.simplify, _with_factorials, _with_logs)
    for way in ways:
        try:
            if way(difference) == 0:
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
    """Nested roots: by the polynomial of least degree that it solves."""
    import sympy

    symbol = sympy.Dummy("x")
    if not difference.is_algebraic:
        return False
    try:
        return bool(sympy.minimal_polynomial(difference, symbol) == symbol)
    except (sympy.polys.polyerrors.NotAlgebraic, NotImplementedError, ValueError):
        return False
