"""The third net: lines, or small blocks of lines, that are equal except for their numbers: a list that counts for ever.

Blank lines don't count. Rows of Markdown tables, JSON, CSV and logs are data and end a run. Lines that look like code
are allowed more copies, since the registers of a struct and the assertions of a test are many. A count that falls, as
in a counting song, ends by itself.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator

from tasks.types import GuardHit, GuardKind

PROSE_COPIES = 12
# Steps of a simulation, cases of a proof, edges of a graph: their numbers do not just count.
INFORMING_COPIES = 32
# The ordinary texts in the tuning half of the corpus have at most 55 such lines in a row (registers).
CODE_COPIES = 100
INFORMING_CODE_COPIES = 250
PERIOD_LINES = 8
# A longer line is a paragraph, and ends a run.
LINE_CHARS = 1_000
WORDS = 3
# Prose is mostly letters; a line whose characters are nearly a third digits is a row of figures.
LETTER_SHARE = 0.65
DIGIT_SHARE = 0.3

_DIGITS = re.compile(r"\d+")
_DATA = re.compile(r"""^[|{}\[\]"]|\t|\|.*\||,.*,.*,|\d\d:\d\d(?!\d)|,\d|\d,$""")
_CODE = re.compile(r"[{}<>=;_\\\[\]]|::|\(\)|->|/\*|//|[(,:]$|\w\(")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LETTER = re.compile(r"[^\W\d_]")


class Templates:
    """Watches the lines of one stream. Constant work per line: one comparison for each period."""

    def __init__(self) -> None:
        self._at = 0  # the offset in the stream at which the current line begins
        self._line = ""
        self._masked: deque[str] = deque(maxlen=PERIOD_LINES)
        self._numbers: deque[list[int]] = deque(maxlen=PROSE_COPIES * PERIOD_LINES)
        self._starts: deque[int] = deque(maxlen=PERIOD_LINES)
        self._run = [0] * (PERIOD_LINES + 1)  # lines in a row that equal the one so many lines earlier
        self._begin = [0] * (PERIOD_LINES + 1)

    def feed(self, text: str) -> GuardHit | None:
        """Takes the next characters; returns a hit where a line that ends in them is one copy too many."""
        *ended, rest = text.split("\n")
        for piece in ended:
            line, start = self._line + piece, self._at
            self._line, self._at = "", start + len(line) + 1
            hit = self._take(line, start)
            if hit is not None:
                return hit
        self._line += rest
        if len(self._line) > LINE_CHARS:
            self._forget()
            self._at += len(self._line)
            self._line = ""
        return None

    def _take(self, line: str, start: int) -> GuardHit | None:
        stripped = line.strip()
        if not stripped:
            return None
        masked = _DIGITS.sub("0", stripped)
        hit = None
        if _data(stripped):
            self._forget()
            return None
        for period in range(1, len(self._masked) + 1):
            if self._masked[-period] != masked:
                self._run[period] = 0
                continue
            if self._run[period] == 0:
                self._begin[period] = self._starts[-period]
            self._run[period] += 1
        self._masked.append(masked)
        self._numbers.append([int(number[:18]) for number in _DIGITS.findall(stripped)])
        self._starts.append(start)
        for period in range(1, len(self._masked) + 1):
            copies = self._run[period] // period + 1
            if copies >= PROSE_COPIES and self._run[period] % period == 0:
                hit = hit or self._assess(period, copies)
        return hit

    def _assess(self, period: int, copies: int) -> GuardHit | None:
        block = list(self._masked)[-period:]
        least = PROSE_COPIES if _prose(block) else CODE_COPIES
        if copies < least or self._falls(period):
            return None
        if self._informs(period) and copies < (INFORMING_COPIES if least == PROSE_COPIES else INFORMING_CODE_COPIES):
            return None
        begin = self._begin[period]
        length = (self._at - begin) // copies
        return GuardHit(kind=GuardKind.TEMPLATE, at_char=begin, copies=copies, period_chars=length)

    def _falls(self, period: int) -> bool:
        """Whether the first number of some line falls from copy to copy."""
        firsts = (tuple(numbers[0] for numbers in line[:3] if numbers) for line in self._last(period))
        return any(len(three) == 3 and three[0] < three[1] < three[2] for three in firsts)

    def _informs(self, period: int) -> bool:
        """Whether a copy has numbers that are not foretold by a counter: they grow unevenly, or not alike."""
        steps = set[int]()
        for line in self._last(period):
            for series in zip(*line, strict=True):
                differences = {one - other for one, other in itertools.pairwise(series)}
                if len(differences) > 1:
                    return True
                steps |= differences
        return len(steps - {0}) > 1

    def _last(self, period: int) -> Iterator[list[list[int]]]:
        """The numbers of each line of the block, from the last copy backwards."""
        numbers = list(self._numbers)[::-1]
        return (numbers[offset : PROSE_COPIES * period : period] for offset in range(period))

    def _forget(self) -> None:
        self._masked.clear()
        self._starts.clear()
        self._numbers.clear()
        self._run = [0] * (PERIOD_LINES + 1)


def _data(line: str) -> bool:
    """Whether the line is a row of a table, of JSON, of figures, or of a log."""
    digits = sum(map(str.isdigit, line))
    return _DATA.search(line) is not None or digits >= DIGIT_SHARE * len(line.replace(" ", ""))


def _prose(block: list[str]) -> bool:
    """Whether the lines are sentences rather than code."""
    text = " ".join(block)
    if any(_CODE.search(line) and not _heading(line) for line in block) or len(_WORD.findall(text)) < WORDS:
        return False
    return len(_LETTER.findall(text)) >= LETTER_SHARE * len(text.replace(" ", ""))


def _heading(line: str) -> bool:
    """Whether the line is like `Attempt 0:`, which ends as a line of Python may but has nothing else of Python."""
    return line.endswith(":") and _CODE.search(line[:-1]) is None and not line.startswith(("if ", "for ", "else"))
