"""What counts as a word. Rows of zeros, empty cells and tables of one literal are data and may repeat for long; words
may not.

Knows nothing of loops.
"""

from __future__ import annotations

import functools
import re

# Numerals and whatever has a digit in it, the constants of programming languages, empty mark-up, escapes, and rulers
# or boards of letters, as in base64.
_NO_WORD = re.compile(
    r"\\[xuU][0-9A-Fa-f]+|\\[nrt]|\w*\d\w*"
    r"|\b(?:True|False|None|true|false|null|nil|NULL|NaN|nan|inf|undefined)\b"
    r"|</?\w+\s*/?>|&\w+;|\\hline\b|([^\W\d_]{1,2})\1{3,}"
)
# An item of a list of literals: a quoted name, or a constant in capitals.
_ITEM = re.compile(r"""(['"])[\w.-]+\1(?=\s*[,)\]}])|\b[A-Z][A-Z0-9_]+\b(?=\s*,)""")
# Two letters (single ones are cells of boards, or commands of SVG paths), or one letter of a script whose words are
# short, such as Chinese.
_WORD = re.compile(r"[^\W\d_]{2,}|[^\x00-\u02ff\W\d_]")
PROSE_SHARE = 0.4
_NO_PROSE = re.compile(r"""[{}<>=\\|\[\]\t]|::|\(\)|->|/\*|//|;$|\w\(|\d\d:\d\d|^["']|,\S+,""")
_VALUE = re.compile(r"\d+|\b[A-Z]\b")
_RUN, _PARTED = re.compile(r"[^\W_]+"), re.compile(r"[\W_]")
_PIECE = re.compile(r"\d|[^\W\d]{1,6}|[^\w\s]|\n|[ \t]{2,}")

# While a repetition goes on, its unit is examined every few characters and rotated by as many, so the same units recur.
_cached = functools.lru_cache(maxsize=512)


@_cached
def has_word(unit: str) -> bool:
    """Whether copies of `unit` repeat words, not data. As a unit may begin inside a word, three copies are joined and
    the middle one is read."""
    bare = unit.strip()
    if bare.isalpha():
        return _NO_WORD.fullmatch(bare) is None
    if _WORD.search(unit + unit[:1]) is None:  # rows of a matrix: a new unit at each look
        return False
    text = _NO_WORD.sub(_blank, 3 * unit)
    words = _beginning_in_the_middle(text)
    if len(words) == 1:  # the same item again and again
        words = _beginning_in_the_middle(_ITEM.sub(_blank, text))
    return bool(words)


@_cached
def different_runs(unit: str) -> int:
    """How many different runs of letters and digits copies of `unit` have: none where nothing parts them. As a unit
    may begin inside a run, it is read from the first end of one."""
    parted = _PARTED.search(unit)
    return 0 if parted is None else len(set(_RUN.findall(unit[parted.start() :] + unit[: parted.start()])))


@_cached
def pieces(unit: str) -> int:
    """About how many tokens a model spends on text without words: one for each digit and each sign."""
    return len(_PIECE.findall(unit))


def word_share(text: str) -> float:
    """The share of words in `text`, 0 to 1, whitespace not counted."""
    return sum(map(len, _WORD.findall(_NO_WORD.sub(" ", text)))) / max(1, len("".join(text.split())))


def value_share(text: str) -> float:
    """How many numbers and single capitals there are to a word of `text`."""
    return len(_VALUE.findall(text)) / max(1, len(_WORD.findall(text)))


def reads_as_prose(text: str) -> bool:
    """Whether a sentence or so is neither code nor a row of a table, of figures, or of a log."""
    return _NO_PROSE.search(text) is None and word_share(text) >= PROSE_SHARE


def _beginning_in_the_middle(text: str) -> set[str]:
    third = len(text) // 3
    return {match[0] for match in _WORD.finditer(text) if third <= match.start() < 2 * third}


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])
