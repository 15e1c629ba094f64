"""Parses a mathematical text into one value, a list, a set, an interval, a matrix, a relation, or words.

The structure is parsed here. Only single expressions go to latex2sympy, which is lenient: it drops bases and units, and
treats a colon as a division. Raises `Unreadable`. Must not know what is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .mathexpr import expression, with_fractions
from .mathtext import Unreadable, closing, in_latex, joined, split, tokens_of, words_of

_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_COMMAND = re.compile(r"\\[A-Za-z]+(?:\s*\{[^{}]*\})?")
_SENTENCE = re.compile(r"[A-Za-z]{2,}[ \t]+[A-Za-z]{2,}")
LETTERS = 3  # more adjacent letters are a word, not a product
_RELATIONS = frozenset({"=", "<", ">", r"\le", r"\ge", r"\ne", r"\in"})
_SET_OPERATIONS = frozenset({r"\cup", r"\cap", r"\setminus"})
_LINKS = {r"\lor": "or", r"\land": "and"}
_MATRICES = (r"\begin{matrix}", r"\begin{pmatrix}", r"\begin{bmatrix}")
_UNIT_NAMES = (
    "mm cm dm m km in inch inches ft feet foot yd yards mi mile miles g mg kg lb lbs oz ton tons s sec second seconds"
    " ms min minute minutes h hr hour hours day days week weeks month months year years l ml liter liters litre"
    " litres mph kph m/s km/h ft/s degree degrees deg rad radian radians unit units dollar dollars cent cents euro"
    " euros usd people ways times points hz khz mhz j kj w kw pa k mol percent square cubic sq cu"
)
_UNITS = frozenset(_UNIT_NAMES.split())
_PLAIN_UNITS = frozenset(
    {"mm", "cm", "km", "kg", "mg", "mph", "hours", "minutes", "seconds", "meters", "dollars", "units"}
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One expression, with its unit where it has one."""

    value: Any
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """An answer that is no mathematics; also a text that is compared as it is: a time, a number with a base."""

    text: str


@dataclass(frozen=True, slots=True)
class Several:
    """Several values; `link` is `and` or `or` where that word joins them."""

    items: tuple[Value, ...]
    link: str = ""


@dataclass(frozen=True, slots=True)
class SetOf:
    """A set: values between braces."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Ordered:
    """A tuple, or an interval where there are two."""

    items: tuple[Value, ...]
    brackets: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Operation:
    """A union, intersection or difference of sets."""

    sign: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of values."""

    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """a : b : c."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """Sides with a sign between each two."""

    sides: tuple[Value, ...]
    signs: tuple[str, ...]


Value = Scalar | Words | Several | SetOf | Ordered | Operation | Matrix | Ratio | Relation


def readings(text: str) -> list[Value]:
    """The values that `text` may mean: `1,000` is a number or a list. Raises `Unreadable` where there is none."""
    text = in_latex(text)
    if _SENTENCE.search(_COMMAND.sub(" ", text)):
        raise Unreadable
    texts = dict.fromkeys([_GROUPS.sub(lambda match: _without_group_commas(text, match), text), text])
    values: list[Value] = []
    for candidate in texts:
        try:
            values.append(_outermost(tokens_of(candidate)))
        except Unreadable:
            continue
    if not values:
        raise Unreadable
    return values


def _without_group_commas(text: str, match: re.Match[str]) -> str:
    """A match without its commas between thousands; inside brackets, commas separate values and stay."""
    before = text[: match.start()]
    depth = sum(before.count(opening) - before.count(closed) for opening, closed in ("()", "[]", (r"\{", r"\}")))
    return match[0] if depth > 0 else match[0].replace(",", "")


def _outermost(tokens: list[str]) -> Value:
    """A value without what may surround it: math delimiters, a box, a full stop."""
    if tokens and tokens[-1] == ".":
        tokens = tokens[:-1]
    for opening, closed in (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        if len(tokens) > 2 and (tokens[0], tokens[-1]) == (opening, closed):
            return _outermost(tokens[1:-1])
    if tokens[:2] in (["\\boxed", "{"], ["\\fbox", "{"]) and closing(tokens, 1) == len(tokens) - 1:
        return _outermost(tokens[2:-1])
    if not tokens or {"$", r"\(", r"\)", r"\[", r"\]", r"\boxed"} & set(tokens):
        raise Unreadable
    return _sequence(tokens)


def _sequence(tokens: list[str]) -> Value:
    linked, link = _with_links(tokens)
    parts, _ = split(linked, frozenset({",", ";"}))
    if any(not part for part in parts):
        raise Unreadable
    if len(parts) == 1:
        return _relation(parts[0])
    return Several(tuple(_list_item(part) for part in parts), link)


def _list_item(part: list[str]) -> Value:
    if len(part[0]) > 1 and part[0].isdigit() and part[0][0] == "0":  # 1,000 is no list of 1 and 0
        raise Unreadable
    return _relation(part)


def _with_links(tokens: list[str]) -> tuple[list[str], str]:
    """The tokens with a comma in place of a linking word, as in `a, b and c`, and that word."""
    result: list[str] = []
    links = set()
    for token in tokens:
        word = _LINKS.get(token) or words_of(token)
        if word in ("and", "or"):
            links.add(word)
            if result[-1:] != [","]:
                result.append(",")
        else:
            result.append(token)
    if len(links) > 1:
        raise Unreadable
    return result, next(iter(links), "")


def _relation(tokens: list[str]) -> Value:
    sides, signs = split(tokens, _RELATIONS)
    if any(not side for side in sides):
        raise Unreadable
    if not signs:
        return _element(tokens)
    return Relation(tuple(_element(side) for side in sides), tuple(signs))


def _element(tokens: list[str]) -> Value:
    parts, signs = split(tokens, _SET_OPERATIONS)
    if signs:
        if len(set(signs)) > 1 or any(not part for part in parts):
            raise Unreadable
        return Operation(signs[0], tuple(_element(part) for part in parts))
    if tokens[0].startswith(_MATRICES) and _is_one_matrix(tokens):
        rows, _ = split(tokens[1:-1], frozenset({"\\\\"}))
        rows = [row for row in rows if row] if not rows[-1] else rows
        return Matrix(tuple(tuple(_element(cell) for cell in _cells(row)) for row in rows))
    if tokens[0] in ("(", "[", r"\{") and closing(tokens, 0) == len(tokens) - 1:
        return _bracketed(tokens)
    if ":" in tokens:
        return _ratio(tokens)
    return _scalar(tokens)


def _is_one_matrix(tokens: list[str]) -> bool:
    return tokens[-1].startswith(r"\end") and sum(token.startswith(r"\begin") for token in tokens) == 1


def _cells(row: list[str]) -> list[list[str]]:
    cells, _ = split(row, frozenset({"&"}))
    if any(not cell for cell in cells):
        raise Unreadable
    return cells


def _bracketed(tokens: list[str]) -> Value:
    parts, _ = split(tokens[1:-1], frozenset({",", ";"}))
    if any(not part for part in parts):
        raise Unreadable
    braced = tokens[0] == r"\{"
    if len(parts) == 1 and not braced:
        return _element(parts[0])
    items = tuple(_list_item(part) for part in parts)
    if braced and tokens[-1] != r"\}":
        raise Unreadable
    return SetOf(items) if braced else Ordered(items, (tokens[0], tokens[-1]))


def _ratio(tokens: list[str]) -> Value:
    parts, _ = split(tokens, frozenset({":"}))
    if all(len(part) == 1 and part[0].isdigit() for part in parts) and any(len(part[0]) == 2 for part in parts[1:]):
        return Words(":".join(part[0] for part in parts))  # a time
    if len(parts) < 2 or any(not part for part in parts):
        raise Unreadable
    return Ratio(tuple(_scalar(part) for part in parts))


def _scalar(tokens: list[str]) -> Value:
    words = words_of(tokens[0]) if len(tokens) == 1 else None
    if words is not None:
        return Words(words) if re.search(r"[^\W\d_]{2}", words) else _outermost(tokens_of(words))
    if len(tokens) > LETTERS and all(map(_is_letter, tokens)):
        return Words("".join(tokens))
    if r"\pm" in tokens or r"\mp" in tokens:
        return Several(tuple(_scalar(list(signed)) for signed in _both_signs(tokens)))
    if len(tokens) > 2 and tokens[0].isdigit() and tokens[1] == "_" and not set(tokens[2:]) - set("{}0123456789"):
        return Words(joined([token for token in tokens if token not in "{}"]))
    tokens, unit = _without_unit(with_fractions(tokens))
    scale = 1
    if tokens[-1:] in (["%"], ["\\%"]):
        tokens, scale = tokens[:-1], 100
    elif unit == "percent":
        unit, scale = "", 100
    letters = "".join("x" if _is_letter(token) else " " for token in tokens)
    if not tokens or "x" * (LETTERS + 1) in letters:
        raise Unreadable
    return Scalar(expression(tokens) / scale if scale > 1 else expression(tokens), unit)


def _is_letter(token: str) -> bool:
    return len(token) == 1 and token.isalpha()


def _both_signs(tokens: list[str]) -> Iterator[list[str]]:
    for sign, other in (("+", "-"), ("-", "+")):
        signed = [{r"\pm": sign, r"\mp": other}.get(token, token) for token in tokens]
        yield signed[1:] if signed[0] == "+" else signed


def _without_unit(tokens: list[str]) -> tuple[list[str], str]:
    """The tokens without a unit of measurement or a degree at their end, and the unit."""
    for degree in (["^", r"\circ"], ["^", "{", r"\circ", "}"]):
        if tokens[-len(degree) :] == degree and not any(token[1:].isalpha() for token in tokens[: -len(degree)]):
            return tokens[: -len(degree)], ""
    if tokens[0] in ("\\$",):
        return tokens[1:], "dollars"
    end, power = len(tokens), ""
    for length in (2, 4):
        if len(tokens) > length and tokens[-length] == "^" and words_of(tokens[-length - 1]):
            power = "".join(token for token in tokens[-length:] if token not in "{}")
            end = len(tokens) - length
            break
    words = words_of(tokens[end - 1]) if end > 1 else None
    if words and all(word in _UNITS for word in words.lower().split()):
        return tokens[: end - 1], words.lower() + power
    at = len(tokens)
    while at > 0 and _is_letter(tokens[at - 1]):
        at -= 1
    letters = "".join(tokens[at:])
    if at > 0 and letters in _PLAIN_UNITS and tokens[at - 1][-1:].isdigit():
        return tokens[:at], letters
    return tokens, ""
