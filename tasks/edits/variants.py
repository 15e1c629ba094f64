"""Variants of an answer that no model writes: each has one number changed, or lacks one part. Pure.

A descent over them is the pattern search of Hooke and Jeeves (Journal of the ACM 8, 1961) for numbers, and the last,
finest level of delta debugging (Zeller and Hildebrandt, IEEE Transactions on Software Engineering 28, 2002) for parts.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterator
from itertools import chain, zip_longest

from tasks.edits.whole import LONGEST, body_of
from tasks.syntaxtrees import parse

_NUMBER = re.compile(r"(?<![\w.])(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d\d?)?(?![\w.])", re.ASCII)
# What a number with a fraction is multiplied by, the greatest step first. A whole number is changed by one, doubled and
# halved.
FACTORS = (1.1, 0.9, 1.03, 0.97, 1.01, 0.99)
# Characters that a text of a single line loses at each place.
CUTS = (8, 4, 2, 1)
# Characters from which on a number is none.
LONGEST_NUMBER = 15
# A bracketed group without another one in it, and the comma after it.
_GROUP = re.compile(r"[\[({][^\[\](){}\n]*[\])}],?[ \t]*")

# The part of the text from `start` to `end` gives way to `text`.
_Step = tuple[int, int, str]


def variants_of(answer: str, parent: str = "", had: Collection[str] = ()) -> Iterator[str]:
    """The variants of `answer`, each once, without those that were `had`: numbers and parts by turns, from the place on
    where it differs from its `parent`, and then those before it. Of a program in Python, and of JSON, only what is
    still one, and another one."""
    body, before = body_of(answer), body_of(parent).text
    text = body.text
    if len(text) > LONGEST:
        return
    origin = next((place for place, (one, other) in enumerate(zip(text, before, strict=False)) if one != other), 0)
    meaning = _meaning(text)
    seen = {text}
    for start, end, new in _steps(text, origin):
        varied = text[:start] + new + text[end:]
        if varied in seen or not varied.strip():
            continue
        seen.add(varied)
        whole = body.answer(varied)
        if whole not in had and _is_another(varied, meaning):  # parsing is what takes time
            yield whole


def _steps(text: str, origin: int) -> Iterator[_Step]:
    """Numbers and parts by turns, each kind from `origin` on and round to it."""
    kinds = (_round(list(_numbers(text)), origin), _round(list(_cuts(text)), origin))
    return (step for step in chain.from_iterable(zip_longest(*kinds)) if step is not None)


def _round(steps: list[_Step], origin: int) -> list[_Step]:
    return [step for step in steps if step[0] >= origin] + [step for step in steps if step[0] < origin]


def _numbers(text: str) -> Iterator[_Step]:
    for match in _NUMBER.finditer(text):
        if len(match.group()) > LONGEST_NUMBER:
            continue
        for new in _others(match.group()):
            yield match.start(), match.end(), new


def _others(number: str) -> list[str]:
    """Numbers near this one, in its notation."""
    if number.isdigit():
        whole = int(number)
        near = dict.fromkeys(other for other in (whole + 1, whole - 1, 2 * whole, whole // 2) if other >= 0)
        return [str(other) for other in near if other != whole]
    return [f"{float(number) * factor:.10g}" for factor in FACTORS]


def _cuts(text: str) -> Iterator[_Step]:
    """A text of several lines without one of them, or without a group in brackets; one of a single line without a few
    of its characters."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        yield from ((at, at + size, "") for at in range(len(text)) for size in CUTS if at + size <= len(text))
        return
    cuts, at = list[_Step](), 0
    for line in lines:
        if line.strip():
            cuts.append((at, at + len(line), ""))
        at += len(line)
    cuts += [(match.start(), match.end(), "") for match in _GROUP.finditer(text)]
    yield from sorted(cuts)


def _meaning(text: str) -> tuple[str, str]:
    """The language of a text, JSON, Python or any other, and what remains of it without its layout."""
    try:
        return "json", json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        pass
    try:
        return "python", ast.dump(parse(text))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "", text


def _is_another(text: str, meaning: tuple[str, str]) -> bool:
    """Whether a text has another meaning in the same language; in none that is known here it has."""
    language, content = meaning
    if not language:
        return True
    its_language, its_content = _meaning(text)
    return its_language == language and its_content != content
