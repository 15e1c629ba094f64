"""Decides whether two mathematical values are the same: number with number, set with set, relation with relation.

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

_MIRRORED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", "=": "=", r"\ne": r"\ne"}
_INEQUALITIES = frozenset({"<", ">", r"\le", r"\ge"})
NamedValue = tuple[Value, Value]  # a name, such as x or f(x), and its value


def same(left: Value, right: Value) -> bool:
    """Whether the two are the same. If only one has a name, as in x = 42, the name is ignored."""
    if _same_relation(left, right):
        return True
    left, right = _simplified(left), _simplified(right)
    match [_name_and_value(left), _name_and_value(right)]:
        case [(name, value), (other_name, other_value)]:
            return _same_kind(name, other_name) and same(value, other_value)
        case [(_, value), None] if not isinstance(right, Relation):
            return same(value, right)
        case [None, (_, value)] if not isinstance(left, Relation):
            return same(left, value)
    return _same_kind(left, right)


def _same_kind(left: Value, right: Value) -> bool:  # noqa: PLR0911 - a line for each kind of value
    match left, right:
        case Scalar(), Scalar():
            return not (left.unit and right.unit and left.unit != right.unit) and equal(left.value, right.value)
        case Words(), Words():
            return left.text == right.text
        case Ordered(), Ordered():
            return left.brackets == right.brackets and _all_same(left.items, right.items)
        case Matrix(), Matrix():
            return len(left.rows) == len(right.rows) and all(map(_all_same, left.rows, right.rows))
        case Ratio(), Ratio():
            return _same_ratio(left.items, right.items)
        case Operation(), Operation():
            pairing = _all_same if left.sign == r"\setminus" else _same_in_any_order
            return left.sign == right.sign and pairing(left.items, right.items)
        case Relation(), Relation():
            return _same_relation(left, right)
        case (Several() | SetOf(), _) | (_, Several() | SetOf()):
            return _same_collection(left, right)
    return False


def _all_same(left: Sequence[Value], right: Sequence[Value]) -> bool:
    return len(left) == len(right) and all(map(same, left, right))


def _same_in_any_order(left: Sequence[Value], right: Sequence[Value]) -> bool:
    """Whether both have the same items, in any order."""
    unmatched = list(right)
    for item in left:
        match = next((index for index, other in enumerate(unmatched) if same(item, other)), None)
        if match is None:
            return False
        del unmatched[match]
    return not unmatched


def _same_collection(left: Value, right: Value) -> bool:
    """Lists are equal in any order; a set has each value once; a set of one value equals that value."""
    if isinstance(left, Several) and isinstance(right, Several):
        ordered = any(isinstance(item, Relation) for item in (*left.items, *right.items))
        return (left.link == right.link or not ordered) and _same_in_any_order(left.items, right.items)
    if isinstance(left, Several | SetOf) and isinstance(right, Several | SetOf):
        sides = [_without_duplicates(side.items) if isinstance(side, SetOf) else side.items for side in (left, right)]
        return _same_in_any_order(*sides)
    collection, other = (left, right) if isinstance(left, Several | SetOf) else (right, left)
    if not isinstance(collection, SetOf):
        return False
    items = _without_duplicates(collection.items)
    return len(items) == 1 and same(items[0], other)


def _without_duplicates(items: Sequence[Value]) -> list[Value]:
    distinct: list[Value] = []
    for item in items:
        if not any(same(item, other) for other in distinct):
            distinct.append(item)
    return distinct


def _same_ratio(left: Sequence[Value], right: Sequence[Value]) -> bool:
    if len(left) != len(right) or not all(isinstance(item, Scalar) for item in (*left, *right)):
        return False
    first, other_first = _value(left[0]), _value(right[0])
    pairs = zip(left[1:], right[1:], strict=True)
    return all(equal(first * _value(right_item), other_first * _value(left_item)) for left_item, right_item in pairs)


def _simplified(value: Value) -> Value:
    """Turns a chain of equal values into that value, bounds into an interval, and x = 1 or x = 2 into x with both."""
    if isinstance(value, Relation):
        return _bounds(value) or _chain(value)
    if isinstance(value, Several):
        return _with_one_name(Several(tuple(_simplified(item) for item in value.items), value.link))
    return value


def _chain(value: Relation) -> Value:
    if set(value.signs) != {"="} or len(value.sides) < 2:
        return value
    name, *values = value.sides if _is_name(value.sides[0]) else (None, *value.sides)
    scalars = [side for side in values if isinstance(side, Scalar)]
    if len(scalars) < len(values) or not all(equal(scalars[0].value, side.value) for side in scalars[1:]):
        return value
    if name is None:
        return scalars[-1]
    return Relation((name, scalars[-1]), ("=",))


def _with_one_name(value: Several) -> Value:
    """Gives a whole list one name: n = 2, 3 and x = 1 or x = 2."""
    names = [_name_and_value(item) for item in value.items]
    first = names[0]
    if first is None:
        return value
    values: list[Value] = []
    for item, pair in zip(value.items, names, strict=True):
        if pair is not None and not _same_kind(pair[0], first[0]):
            return value
        values.append(item if pair is None else pair[1])
    if any(pair is None for pair in names[1:]) and any(pair is not None for pair in names[1:]):
        return value
    joined = Operation(r"\cup", tuple(values)) if all(isinstance(item, Ordered) for item in values) else None
    if joined is not None and value.link != "or":
        return value
    return Relation((first[0], joined or Several(tuple(values))), ("=",))


def _name_and_value(value: Value) -> NamedValue | None:
    """The name and value of x = …, … = x and x \\in …, if x does not occur in the value."""
    if not isinstance(value, Relation) or len(value.sides) != 2 or value.signs[0] not in ("=", r"\in"):
        return None
    name, definition = value.sides
    if value.signs[0] == "=" and not _is_name(name):
        name, definition = definition, name
    if not _is_name(name):
        return None
    if (
        isinstance(definition, Scalar)
        and isinstance(name, Scalar)
        and _symbols(name) & _symbols(definition)
        and _is_symbol(name)
    ):
        return None
    return name, definition


def _is_name(value: Value) -> bool:
    import sympy

    if isinstance(value, Ordered):
        return all(_is_name(item) for item in value.items)
    if not isinstance(value, Scalar):
        return False
    expression = value.value
    return _is_symbol(value) or (
        isinstance(expression, sympy.core.function.AppliedUndef)
        and all(argument.is_Symbol for argument in expression.args)
    )


def _is_symbol(value: Value) -> bool:
    return bool(isinstance(value, Scalar) and getattr(value.value, "is_Symbol", False))


def _symbols(value: Scalar) -> Any:
    return getattr(value.value, "free_symbols", set())


def _bounds(value: Relation) -> Relation | None:
    """Turns 0 < x < 2 and x \\ge 1 into x in an interval."""
    import sympy

    sides, signs = value.sides, value.signs
    if not set(signs) <= _INEQUALITIES or not all(isinstance(side, Scalar) for side in sides):
        return None
    if len(sides) == 2 and _is_symbol(sides[1]) and not _is_symbol(sides[0]):
        sides, signs = sides[::-1], (_MIRRORED[signs[0]],)
    if len(sides) == 3 and signs[0] in (">", r"\ge"):
        sides, signs = sides[::-1], tuple(_MIRRORED[sign] for sign in reversed(signs))
    name = sides[0] if len(sides) == 2 else sides[1]
    if not _is_symbol(name) or len(sides) > 3 or any(_symbols(_scalar(side)) for side in sides if side is not name):
        return None
    if len(sides) == 3:
        if not set(signs) <= {"<", r"\le"}:
            return None
        brackets = ("(" if signs[0] == "<" else "[", ")" if signs[1] == "<" else "]")
        return Relation((name, Ordered((sides[0], sides[2]), brackets)), (r"\in",))
    infinity = Scalar(sympy.oo)
    if signs[0] in ("<", r"\le"):
        interval = Ordered((Scalar(-sympy.oo), sides[1]), ("(", ")" if signs[0] == "<" else "]"))
    else:
        interval = Ordered((sides[1], infinity), ("(" if signs[0] == ">" else "[", ")"))
    return Relation((name, interval), (r"\in",))


def _same_relation(left: Value, right: Value) -> bool:
    """Whether two equations or inequalities are the same: moved to one side, one is a multiple of the other."""
    if not (isinstance(left, Relation) and isinstance(right, Relation)) or len(left.sides) != len(right.sides):
        return False
    if left.signs == right.signs and _all_same(left.sides, right.sides):
        return True
    if len(left.sides) != 2 or not all(isinstance(side, Scalar) for side in (*left.sides, *right.sides)):
        return False
    sign, other = left.signs[0], right.signs[0]
    ratio = ratio_of(_difference(left), _difference(right))
    if ratio is None:
        return False
    if sign in ("=", r"\ne"):
        return sign == other
    return bool(ratio.is_positive and sign == other) or bool(ratio.is_negative and _MIRRORED.get(sign) == other)


def _difference(value: Relation) -> Any:
    return _value(value.sides[0]) - _value(value.sides[1])


def _value(value: Value) -> Any:
    return _scalar(value).value


def _scalar(value: Value) -> Scalar:
    assert isinstance(value, Scalar)
    return value
