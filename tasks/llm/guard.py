"""Finds endless repetition in a text while it streams. Knows nothing of models or requests.

Gemma 4 falls into it (google-deepmind/gemma#622, vllm#40080). Five nets, each in its own module: exact cycles
(`cycles`), lines equal but for their numbers (`templates`), paragraphs that count (`counters`), text that compresses
too well (`compression`), and sentences that bring nothing new (`novelty`). The work per character is bounded, however
long the text is. `make bench-guard` measures all of it.
"""

from __future__ import annotations

import dataclasses

from tasks.llm.compression import EVERY_CHARS, PROBE_CHARS, compressible_tail, onset, stretch_end
from tasks.llm.counters import counting_tail
from tasks.llm.cycles import PERIOD_CHARS, covered_chars, tail_cycle
from tasks.llm.novelty import Novelty
from tasks.llm.templates import Templates
from tasks.llm.wording import has_word
from tasks.types import GuardHit, GuardKind

STEP_CHARS = 16
UNIT_CHARS = 160
# What is let run on is a loop beyond doubt where exact copies cover a thousand tokens (a grid may be larger), or
# nothing new comes for as long.
RUN_ON_CHARS = 4_000
RUN_ON_GRID_CHARS = 8_000
WINDOW_CHARS = 8_000


class Guard:
    """Watches one stream. Examines it every `STEP_CHARS` characters, however it is cut into chunks.

    With `runs_on` the first hit is only noted in `let_through`, and the stream goes on until it is a loop beyond doubt.
    """

    def __init__(self, *, runs_on: bool = False) -> None:
        self.runs_on = runs_on
        self.let_through: GuardHit | None = None
        self._window, self._start, self._pending = "", 0, ""
        self._templates, self._novelty, self._strict = Templates(), Novelty(), Novelty(strict=True)
        self.read = 0  # characters that were examined
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

    def finish(self, *, at_limit: bool = False) -> GuardHit | None:
        """The text has ended: examines its last characters once more. What the limit of tokens ended amid exact copies
        of words is a loop, even where it was let run on."""
        if self.hit is None and self._pending:
            piece, self._pending = self._pending, ""
            self._look(piece)
        if self.hit is None and self.let_through is not None and at_limit:
            self.hit = self._beyond_doubt(least=0)
        return self.hit

    def _look(self, piece: str) -> GuardHit | None:
        self._window += piece
        self.read += len(piece)
        if self.let_through is None:
            hit = self._nets(piece)
            if self.runs_on:
                self.let_through = hit
            else:
                self.hit = hit
        else:
            self.hit = self._nothing_new(piece, self._strict)
            if self.hit is None and self.read % EVERY_CHARS == 0:
                self.hit = self._beyond_doubt()
        if len(self._window) >= 2 * WINDOW_CHARS:
            self._start += len(self._window) - WINDOW_CHARS
            self._window = self._window[-WINDOW_CHARS:]
        return self.hit

    def _nets(self, piece: str) -> GuardHit | None:
        hit = tail_cycle(self._window)
        if hit is not None:
            hit = _earlier_copies(self._window, hit)
        elif self.read % EVERY_CHARS == 0:
            hit = compressible_tail(self._window, self.read) or counting_tail(self._window)
        if hit is not None:
            hit = dataclasses.replace(hit, at_char=hit.at_char + self._start)
        else:
            hit = self._templates.feed(piece) or self._nothing_new(piece, self._novelty)
        return None if hit is None else self._with_unit(hit)

    def _nothing_new(self, piece: str, net: Novelty) -> GuardHit | None:
        hit = net.feed(piece)
        if hit is None:
            return None
        if net is self._strict and self.let_through is not None:  # it watches from there on
            return dataclasses.replace(hit, at_char=self.let_through.at_char, unit=self.let_through.unit)
        begin = self._start + onset(self._window, max(0, hit.at_char - self._start))
        copies = max(hit.copies, (self.read - begin) // hit.period_chars)
        return dataclasses.replace(hit, at_char=begin, copies=copies)

    def _beyond_doubt(self, least: int = RUN_ON_CHARS) -> GuardHit | None:
        hit = tail_cycle(self._window)
        if hit is None:
            return None
        unit = self._window[-hit.period_chars :]
        words = has_word(unit) and unit.count(unit[0]) < len(unit)
        if len(self._window) - hit.at_char < (least if words else RUN_ON_GRID_CHARS):
            return None
        return self._with_unit(dataclasses.replace(hit, at_char=hit.at_char + self._start))

    def _with_unit(self, hit: GuardHit) -> GuardHit:
        begin = max(0, hit.at_char - self._start)
        return dataclasses.replace(hit, unit=self._window[begin : begin + min(hit.period_chars, UNIT_CHARS)])


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
    """The cycle, extended by the copies before it that are not exact."""
    if cycle.period_chars < PROBE_CHARS:  # too short to say what is like it
        return cycle
    begin = onset(window, cycle.at_char)
    if begin == cycle.at_char:
        return cycle
    copies = (len(window) - begin) // cycle.period_chars
    return dataclasses.replace(cycle, at_char=begin, copies=copies)


def engine_hit(text: str) -> GuardHit:
    """The loop because of which the engine itself ended `text`, with the copies that its tail shows."""
    hit = scan(text)
    if hit is not None:
        return dataclasses.replace(hit, kind=GuardKind.ENGINE)
    end = len(text)
    for period in range(1, min(PERIOD_CHARS, end // 2) + 1):
        if text[-period:] == text[-2 * period : -period]:
            covered = covered_chars(text, period)
            return GuardHit(kind=GuardKind.ENGINE, at_char=end - covered, copies=covered // period, period_chars=period)
    return GuardHit(kind=GuardKind.ENGINE, at_char=end, copies=1, period_chars=0)
