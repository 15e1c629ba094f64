"""When two mathematical values are the same: number with number, set with set, relation with relation.

Must not know how values are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .exact import equal, ratio_of
from .mathvalue import (
    Matrix,
    Operation,
    Ordered,
    Ratio,
    Relation,
    Scalar,
    SetOf,
    Several,
    Value,
    Words,
)

_TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", "=": "=", r"\ne": r"\ne"}
_ORDERS = frozenset({"<", ">", r"\le", r"\ge"})
Named = tuple[Value, Value]  # a name, such as x or f(x), and what it is


def same(left: Value, right: Value) -> bool:
    """Whether they are the same. A name before one of them only, as in x = 42, is none of its value."""
    if _same_relation(left, right):
        return True
    left, right = _simplified(left), _simplified(right)
    match [_named(left), _named(right)]:
        case [(name, value), (other_name, other_value)]:
            return _alike(name, other_name) and same(value, other_value)
        case [(_, value), None] if not isinstance(right, Relation):
            return same(value, right)
        case [None, (_, value)] if not isinstance(left, Relation):
            return same(left, value)
    return _alike(left, right)


def _alike(left: Value, right: Value) -> bool:  # noqa: PLR0911 - a line for each kind of value
    match left, right:
        case Scalar(), Scalar():
            return not (left.unit and right.unit and left.unit != right.unit) and equal(left.value, right.value)
        case Words(), Words():
            return left.text == right.text
        case Ordered(), Ordered():
            return left.brackets == right.brackets and _each(left.items, right.items)
        case Matrix(), Matrix():
            return len(left.rows) == len(right.rows) and all(map(_each, left.rows, right.rows))
        case Ratio(), Ratio():
            return _same_ratio(left.items, right.items)
        case Operation(), Operation():
            pairing = _each if left.sign == r"\setminus" else _paired
            return left.sign == right.sign and pairing(left.items, right.items)
        case Relation(), Relation():
            return _same_relation(left, right)
        case (Several() | SetOf(), _) | (_, Several() | SetOf()):
            return _same_collection(left, right)
    return False


def _each(left: Sequence[Value], right: Sequence[Value]) -> bool:
    return len(left) == len(right) and all(map(same, left, right))


def _paired(left: Sequence[Value], right: Sequence[Value]) -> bool:
    """Whether each has a partner of its own, in any order."""
    rest = list(right)
    for item in left:
        partner = next((at for at, other in enumerate(rest) if same(item, other)), None)
        if partner is None:
            return False
        del rest[partner]
    return not rest


def _same_collection(left: Value, right: Value) -> bool:
    """A list is in any order; a set has each value once; a set of one value may be given as that value."""
    if isinstance(left, Several) and isinstance(right, Several):
        ordered = any(isinstance(item, Relation) for item in (*left.items, *right.items))
        return (left.link == right.link or not ordered) and _paired(left.items, right.items)
    if isinstance(left, Several | SetOf) and isinstance(right, Several | SetOf):
        sides = [_once(side.items) if isinstance(side, SetOf) else side.items for side in (left, right)]
        return _paired(*sides)
    collection, other = (left, right) if isinstance(left, Several | SetOf) else (right, left)
    if not isinstance(collection, SetOf):
        return False
    items = _once(collection.items)
    return len(items) == 1 and same(items[0], other)


def _once(items: Sequence[Value]) -> list[Value]:
    kept: list[Value] = []
    for item in items:
        if not any(same(item, other) for other in kept):
            kept.append(item)
    return kept


def _same_ratio(left: Sequence[Value], right: Sequence[Value]) -> bool:
    if len(left) != len(right) or not all(isinstance(item, Scalar) for item in (*left, *right)):
        return False
    first, other_first = _value(left[0]), _value(right[0])
    crossed = zip(left[1:], right[1:], strict=True)
    return all(equal(first * _value(there), other_first * _value(here)) for here, there in crossed)


def _simplified(value: Value) -> Value:
    """A chain of equal values as that value, bounds as an interval, x = 1 or x = 2 as x of both."""
    if isinstance(value, Relation):
        return _bounds(value) or _chain(value)
    if isinstance(value, Several):
        return _gathered(Several(tuple(_simplified(item) for item in value.items), value.link))
    return value


def _chain(value: Relation) -> Value:
    if set(value.signs) != {"="} or len(value.sides) < 2:
        return value
    name, *rest = value.sides if _is_name(value.sides[0]) else (None, *value.sides)
    known = [side for side in rest if isinstance(side, Scalar)]
    if len(known) < len(rest) or not all(equal(known[0].value, side.value) for side in known[1:]):
        return value
    if name is None:
        return known[-1]
    return Relation((name, known[-1]), ("=",))


def _gathered(value: Several) -> Value:
    """One name for a whole list: n = 2, 3 and x = 1 or x = 2."""
    named = [_named(item) for item in value.items]
    first = named[0]
    if first is None:
        return value
    values: list[Value] = []
    for item, pair in zip(value.items, named, strict=True):
        if pair is not None and not _alike(pair[0], first[0]):
            return value
        values.append(item if pair is None else pair[1])
    if any(pair is None for pair in named[1:]) and any(pair is not None for pair in named[1:]):
        return value
    joined = Operation(r"\cup", tuple(values)) if all(isinstance(item, Ordered) for item in values) else None
    if joined is not None and value.link != "or":
        return value
    return Relation((first[0], joined or Several(tuple(values))), ("=",))


def _named(value: Value) -> Named | None:
    """x = …, … = x and x \\in …, where x does not occur in what it is."""
    if not isinstance(value, Relation) or len(value.sides) != 2 or value.signs[0] not in ("=", r"\in"):
        return None
    name, said = value.sides
    if value.signs[0] == "=" and not _is_name(name):
        name, said = said, name
    if not _is_name(name):
        return None
    if isinstance(said, Scalar) and isinstance(name, Scalar) and _symbols(name) & _symbols(said) and _is_symbol(name):
        return None
    return name, said


def _is_name(value: Value) -> bool:
    import sympy

    if isinstance(value, Ordered):
        return all(_is_name(item) for item in value.items)
    if not isinstance(value, Scalar):
        return False
    called = value.value
    return _is_symbol(value) or (
        isinstance(called, sympy.core.function.AppliedUndef) and all(one.is_Symbol for one in called.args)
    )


def _is_symbol(value: Value) -> bool:
    return bool(isinstance(value, Scalar) and getattr(value.value, "is_Symbol", False))


def _symbols(value: Scalar) -> Any:
    return getattr(value.value, "free_symbols", set())


def _bounds(value: Relation) -> Relation | None:
    """0 < x < 2 and x \\ge 1 as x in an interval."""
    import sympy

    sides, signs = value.sides, value.signs
    if not set(signs) <= _ORDERS or not all(isinstance(side, Scalar) for side in sides):
        return None
    if len(sides) == 2 and _is_symbol(sides[1]) and not _is_symbol(sides[0]):
        sides, signs = sides[::-1], (_TURNED[signs[0]],)
    if len(sides) == 3 and signs[0] in (">", r"\ge"):
        sides, signs = sides[::-1], tuple(_TURNED[sign] for sign in reversed(signs))
    name = sides[0] if len(sides) == 2 else sides[1]
    if not _is_symbol(name) or len(sides) > 3 or any(_symbols(_scalar(side)) for side in sides if side is not name):
        return None
    if len(sides) == 3:
        if not set(signs) <= {"<", r"\le"}:
            return None
        brackets = ("(" if signs[0] == "<" else "[", ")" if signs[1] == "<" else "]")
        return Relation((name, Ordered((sides[0], sides[2]), brackets)), (r"\in",))
    infinite = Scalar(sympy.oo)
    if signs[0] in ("<", r"\le"):
        interval = Ordered((Scalar(-sympy.oo), sides[1]), ("(", ")" if signs[0] == "<" else "]"))
    else:
        interval = Ordered((sides[1], infinite), ("(" if signs[0] == ">" else "[", ")"))
    return Relation((name, interval), (r"\in",))


def _same_relation(left: Value, right: Value) -> bool:
    """The same equation or inequality: all to one side, each is the other times a number."""
    if not (isinstance(left, Relation) and isinstance(right, Relation)) or len(left.sides) != len(right.sides):
        return False
    if left.signs == right.signs and _each(left.sides, right.sides):
        return True
    if len(left.sides) != 2 or not all(isinstance(side, Scalar) for side in (*left.sides, *right.sides)):
        return False
    sign, other = left.signs[0], right.signs[0]
    ratio = ratio_of(_difference(left), _difference(right))
    if ratio is None:
        return False
    if sign in ("=", r"\ne"):
        return sign == other
    return bool(ratio.is_positive and sign == other) or bool(ratio.is_negative and _TURNED.get(sign) == other)


def _difference(value: Relation) -> Any:
    return _value(value.sides[0]) - _value(value.sides[1])


def _value(value: Value) -> Any:
    return _scalar(value).value


def _scalar(value: Value) -> Scalar:
    assert isinstance(value, Scalar)
    return value
