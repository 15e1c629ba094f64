"""Parses an exact number, in digits or in LaTeX. Must not know which number is right.

Every digit and sign of the text counts: a text that can't be parsed completely is no number.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tasks.validators.extraction.answerline import layers

_SPACES = re.compile(r"\\[,;: ]|[\u00a0\u2007\u2009\u202f]|(?<=\d)~(?=\d{3})")
_COMMAS = re.compile(r"\{,\}|,\\!")
_GROUPED = r"\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d{1,3}(?:\.\d{3}){2,}(?!\.)"
_DECIMAL = re.compile(rf"(?P<whole>{_GROUPED}|\d{{1,400}})?(?P<part>\.\d{{0,400}})?(?P<power>[eE][+-]?\d{{1,3}})?")
_POWER = re.compile(
    r"(?:(?P<factor>\S+?) ?(?:\\times|\\cdot|[×·*]) ?)?"
    r"10 ?\^ ?(?:\{ ?(?P<braced>[+-]?\d{1,3}) ?\}|(?P<bare>[+-]?\d{1,3}))"
)
_FRACTION = re.compile(
    r"(?P<mixed>\d{1,100} ?)?\\[dtc]?frac ?"
    r"(?:(?P<digits>\d)(?P<under>\d)|(?:\{(?P<top>[^{}]+)\}|(?P<one>\d)) ?(?:\{(?P<bottom>[^{}]+)\}|(?P<two>\d)))"
)
_MINUS = str.maketrans({"−": "-", "－": "-", "–": "-", "＋": "+"})


def number_of(text: str) -> Fraction | None:
    """The exact number in `text`; None where it is none. It may be a decimal with grouped thousands, an exponent of up
    to three digits or a power of ten; a ratio of two such numbers; or a `\\frac`, alone or after a whole number."""
    *_, bare = layers(text)
    bare = _COMMAS.sub(",", _SPACES.sub(" ", bare.translate(_MINUS))).strip()
    bare = bare.removeprefix("$").removeprefix(r"\$").lstrip()
    sign, bare = (-1 if bare[:1] == "-" else 1), bare[1:].lstrip() if bare[:1] in ("+", "-") else bare
    if bare[:1] in ("+", "-"):
        return None
    number = _latex_fraction(bare) if "frac" in bare else _ratio(bare)
    return None if number is None else sign * number


def _latex_fraction(text: str) -> Fraction | None:
    match = _FRACTION.fullmatch(text)
    if match is None:
        return None
    numerator = _signed(match["digits"] or match["top"] or match["one"])
    denominator = _signed(match["under"] or match["bottom"] or match["two"])
    if numerator is None or not denominator or (match["mixed"] and not 0 <= numerator / denominator < 1):
        return None
    return int(match["mixed"] or 0) + numerator / denominator


def _ratio(text: str) -> Fraction | None:
    numerator, slash, denominator = text.partition("/")
    top, bottom = _unsigned(numerator.strip()), _signed(denominator) if slash else Fraction(1)
    return None if top is None or not bottom else top / bottom


def _signed(text: str) -> Fraction | None:
    text = text.strip()
    number = _unsigned(text[1:].lstrip() if text[:1] in ("+", "-") else text)
    return -number if number is not None and text[:1] == "-" else number


def _unsigned(text: str) -> Fraction | None:
    if match := _POWER.fullmatch(text):
        factor = Fraction(1) if match["factor"] is None else _unsigned(match["factor"])
        return None if factor is None else factor * Fraction(10) ** int(match["braced"] or match["bare"])
    match = _DECIMAL.fullmatch(text)
    if match is None or not any(char.isdigit() for char in (match["whole"] or "") + (match["part"] or "")):
        return None
    whole = re.sub(r"[., ]", "", match["whole"] or "")
    return Fraction((whole or "0") + (match["part"] or "") + (match["power"] or ""))
