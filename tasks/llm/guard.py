"""Finds endless repetition in a text while it streams. Knows nothing of models or requests.

Gemma 4 falls into it (google-deepmind/gemma#622, vllm#40080). Three nets, cheapest first, each in its own module: exact
cycles (`cycles`), lines equal but for their numbers (`templates`), and text that compresses too well (`compression`).
The work per character is bounded, however long the text is. `make bench-guard` measures all of it.
"""

from __future__ import annotations

import dataclasses

from tasks.llm.compression import EVERY_CHARS, compressible_tail, onset, stretch_end
from tasks.llm.cycles import PERIOD_CHARS, covered_chars, tail_cycle
from tasks.llm.templates import Templates
from tasks.types import GuardHit, GuardKind

STEP_CHARS = 16
WINDOW_CHARS = 8_000


class Guard:
    """Watches one stream. Looks every `STEP_CHARS` characters of the text, however it is cut into chunks."""

    def __init__(self) -> None:
        self._window, self._start, self._pending = "", 0, ""
        self._templates = Templates()
        self.read = 0  # characters that were looked at
        self.hit: GuardHit | None = None

    def feed(self, text: str) -> GuardHit | None:
        """Takes the next piece; the hit once there is one, and from then on always."""
        if self.hit is not None:
            return self.hit
        self._pending += text
        taken = 0
        while len(self._pending) - taken >= STEP_CHARS:
            piece = self._pending[taken : taken + STEP_CHARS]
            taken += STEP_CHARS
            if self._look(piece) is not None:
                break
        self._pending = self._pending[taken:]
        return self.hit

    def finish(self) -> GuardHit | None:
        """The text is over: looks once more, at its very end."""
        if self.hit is None and self._pending:
            piece, self._pending = self._pending, ""
            self._look(piece)
        return self.hit

    def _look(self, piece: str) -> GuardHit | None:
        self._window += piece
        self.read += len(piece)
        found = tail_cycle(self._window)
        if found is not None:
            found = _earlier_copies(self._window, found)
        elif self.read % EVERY_CHARS == 0:
            found = compressible_tail(self._window, self.read)
        if found is not None:
            self.hit = dataclasses.replace(found, at_char=found.at_char + self._start)
        else:
            self.hit = self._templates.feed(piece)
        if len(self._window) >= 2 * WINDOW_CHARS:
            self._start += len(self._window) - WINDOW_CHARS
            self._window = self._window[-WINDOW_CHARS:]
        return self.hit


def scan(text: str) -> GuardHit | None:
    """The first degenerate stretch of a whole text, with all its copies counted: exactly where they are exact, else by
    how far the stretch goes on."""
    guard = Guard()
    hit = guard.feed(text) or guard.finish()
    if hit is None:
        return None
    end = guard.read
    if hit.kind is GuardKind.CYCLE:
        while end < len(text) and text[end] == text[end - hit.period_chars]:
            end += 1
    else:
        end = stretch_end(text, hit.at_char, end)
    return dataclasses.replace(hit, copies=(end - hit.at_char) // hit.period_chars)


def _earlier_copies(window: str, cycle: GuardHit) -> GuardHit:
    """The cycle with the copies before it that were not exact yet."""
    begin = onset(window, cycle.at_char)
    if begin == cycle.at_char:
        return cycle
    copies = (len(window) - begin) // cycle.period_chars
    return dataclasses.replace(cycle, at_char=begin, copies=copies)


def engine_hit(text: str) -> GuardHit:
    """Where the loop begins that the engine itself ended `text` for, with whatever copies the tail shows."""
    found = scan(text)
    if found is not None:
        return dataclasses.replace(found, kind=GuardKind.ENGINE)
    end = len(text)
    for period in range(1, min(PERIOD_CHARS, end // 2) + 1):
        if text[-period:] == text[-2 * period : -period]:
            covered = covered_chars(text, period)
            return GuardHit(kind=GuardKind.ENGINE, at_char=end - covered, copies=covered // period, period_chars=period)
    return GuardHit(kind=GuardKind.ENGINE, at_char=end, copies=1, period_chars=0)
