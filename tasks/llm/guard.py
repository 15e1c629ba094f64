"""Finds endless repetition in a text while it streams. Knows nothing of models or requests.

Gemma 4 falls into it (google-deepmind/gemma#622, vllm#40080). What counts: the text's tail is a cycle of at
least `COPIES` exact copies over at least `COVERED_CHARS`; a run of one character must be longer, since rulers
and indents are ordinary, and so must copies without a word, since grids of zeros, lists of numbers, byte tables
and the rules of Markdown tables are.
"""

from __future__ import annotations

import dataclasses
import re

from tasks.types import GuardHit, GuardKind

COPIES = 3
COVERED_CHARS = 200
RUN_CHARS = 400
# A 15 by 15 grid of zeros is 765 characters of ordinary Python.
WORDLESS_CHARS = 1_000
PERIOD_CHARS = 2_000
STEP_CHARS = 16
PROBE_CHARS = 32
WINDOW_CHARS = 8_000
# Bounds the work per step where a probe occurs very often (rows of zeros); a rarer probe comes with the next steps.
CANDIDATES = 256

_NUMERAL = re.compile(r"(?:0[xXbBoO]|\\[xuU])[0-9A-Fa-f]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[a-zA-Z]?\b")
_EDGES = re.compile(r"\A\w+|\w+\Z")  # not $, which also matches before a last newline


class Guard:
    """Watches one stream. Looks every `STEP_CHARS` characters of the text, however it is cut into chunks."""

    def __init__(self) -> None:
        self._window, self._start, self._pending = "", 0, ""
        self.hit: GuardHit | None = None

    def feed(self, text: str) -> GuardHit | None:
        """Takes the next piece; the hit once there is one, and from then on always."""
        if self.hit is not None:
            return self.hit
        self._pending += text
        taken = 0
        while len(self._pending) - taken >= STEP_CHARS:
            self._window += self._pending[taken : taken + STEP_CHARS]
            taken += STEP_CHARS
            if self._look() is not None:
                break
        self._pending = self._pending[taken:]
        return self.hit

    def finish(self) -> GuardHit | None:
        """The text is over: looks once more, at its very end."""
        if self.hit is None and self._pending:
            self._window += self._pending
            self._pending = ""
            self._look()
        return self.hit

    def _look(self) -> GuardHit | None:
        found = _tail_cycle(self._window)
        if found is not None:
            self.hit = dataclasses.replace(found, at_char=found.at_char + self._start)
        elif len(self._window) >= 2 * WINDOW_CHARS:
            self._start += len(self._window) - WINDOW_CHARS
            self._window = self._window[-WINDOW_CHARS:]
        return self.hit


def scan(text: str) -> GuardHit | None:
    """The first degenerate stretch of a whole text, with all its copies counted."""
    guard = Guard()
    hit = guard.feed(text) or guard.finish()
    if hit is None:
        return None
    end = hit.at_char + hit.copies * hit.period_chars
    while end < len(text) and text[end] == text[end - hit.period_chars]:
        end += 1
    return dataclasses.replace(hit, copies=(end - hit.at_char) // hit.period_chars)


def engine_hit(text: str) -> GuardHit:
    """Where the loop begins that the engine itself ended `text` for, with whatever copies the tail shows."""
    found = scan(text)
    if found is not None:
        return dataclasses.replace(found, kind=GuardKind.ENGINE)
    end = len(text)
    for period in range(1, min(PERIOD_CHARS, end // 2) + 1):
        if text[-period:] == text[-2 * period : -period]:
            covered = _covered(text, period)
            return GuardHit(kind=GuardKind.ENGINE, at_char=end - covered, copies=covered // period, period_chars=period)
    return GuardHit(kind=GuardKind.ENGINE, at_char=end, copies=1, period_chars=0)


def _tail_cycle(text: str) -> GuardHit | None:
    """The cycle that ends with `text`. Every earlier place of the last characters is a possible period."""
    end = len(text)
    if end < COVERED_CHARS:
        return None
    probe = text[-PROBE_CHARS:]
    lowest = max(0, end - PROBE_CHARS - PERIOD_CHARS)
    place = end - PROBE_CHARS
    inner, inner_covered = 0, 0
    for _ in range(CANDIDATES):
        place = text.rfind(probe, lowest, place + PROBE_CHARS - 1)
        if place < 0:
            return None
        period = end - PROBE_CHARS - place
        if COPIES * period > end:
            return None
        if inner and period % inner == 0 and COPIES * period <= inner_covered:
            continue  # the same stretch again, with a multiple of its period
        if text[-2 * period :] != text[-3 * period : -period]:
            continue
        covered = _covered(text, period)
        if covered >= _least(text[-period:]):
            return GuardHit(kind=GuardKind.CYCLE, at_char=end - covered, copies=covered // period, period_chars=period)
        inner, inner_covered = period, covered
    return None


def _least(unit: str) -> int:
    """How many characters the copies of `unit` must cover."""
    if unit.count(unit[0]) == len(unit):
        return RUN_CHARS + 1
    return COVERED_CHARS if _has_word(unit) else WORDLESS_CHARS


def _has_word(unit: str) -> bool:
    """Whether a letter stands outside numerals. A unit may begin inside one: two are read, without their ends."""
    inner = _EDGES.sub("", unit + unit)
    return any(map(str.isalpha, _NUMERAL.sub("", inner or unit)))


def _covered(text: str, period: int) -> int:
    """How many characters at the end of `text` equal the one a period later, with the last period itself."""
    at = len(text) - period
    while at > 0 and text[at - 1] == text[at - 1 + period]:
        at -= 1
    return len(text) - at
