"""The guard against endless repetition: exact tail cycles, found while the text streams.

Gemma 4 falls into them (google-deepmind/gemma#622, vllm#40080). We see characters, not tokens: 48 tokens
are about 200 characters. Constant work per character: every `STRIDE` new characters the last `PROBE` are
looked for earlier in a bounded tail, at C speed, and each distance is a candidate period that is then
compared exactly.
"""

from __future__ import annotations

from tasks.types import GuardHit, GuardKind

COPIES = 3
COVERED_CHARS = 200
# A run of one character is a ruler or an indent long before it is a loop.
RULER_CHARS = 400
LONGEST_PERIOD = 2_000
PROBE = 32
STRIDE = 16
TAIL = (COPIES + 1) * LONGEST_PERIOD
# Distances looked at per probe: past these the text is nearly one character, which the smallest find.
CANDIDATES = 48


class Guard:
    """Feed it the text as it streams; once it has a hit it keeps it."""

    def __init__(self) -> None:
        self._tail = ""
        self._dropped = 0  # characters before the tail
        self._unseen = 0
        self.hit: GuardHit | None = None

    def feed(self, text: str) -> GuardHit | None:
        """The hit, once the text so far ends in a cycle; how it is cut into chunks makes no difference."""
        start = 0
        while self.hit is None and start < len(text):
            piece = text[start : start + STRIDE - self._unseen]
            start += len(piece)
            self._tail += piece
            self._unseen += len(piece)
            if self._unseen == STRIDE:
                self._unseen = 0
                self.hit = self._look()
        return self.hit

    def _look(self) -> GuardHit | None:
        if len(self._tail) > 2 * TAIL:
            self._dropped += len(self._tail) - TAIL
            self._tail = self._tail[-TAIL:]
        period = find_period(self._tail)
        if period is None:
            return None
        begin = cycle_start(self._tail, period)
        return GuardHit(
            kind=GuardKind.CYCLE,
            at_char=self._dropped + begin,
            copies=(len(self._tail) - begin) // period,
            period_chars=period,
        )


def scan(text: str) -> GuardHit | None:
    """The first cycle that a guard over this text would have found."""
    return Guard().feed(text)


def find_period(tail: str) -> int | None:
    """The period of the cycle that `tail` ends in, or None."""
    if len(tail) < max(COVERED_CHARS, PROBE):
        return None
    probe = tail[-PROBE:]
    lowest = max(0, len(tail) - PROBE - LONGEST_PERIOD)
    end = len(tail) - 1  # an occurrence must begin before the probe itself does
    for _ in range(CANDIDATES):
        found = tail.rfind(probe, lowest, end)
        if found < 0:
            return None
        period = len(tail) - PROBE - found
        if _repeats(tail, period):
            return period
        end = found + PROBE - 1
    return None


def _repeats(tail: str, period: int) -> bool:
    unit = tail[-period:]
    needed = RULER_CHARS if len(set(unit)) == 1 or not unit.strip() else COVERED_CHARS
    covered = max(COPIES * period, needed)
    if covered > len(tail):
        return False
    return tail[-covered + period :] == tail[-covered:-period]


def cycle_start(tail: str, period: int) -> int:
    """Where the first copy begins: as far back as each character equals the one a period later."""
    begin = len(tail) - period
    while begin > 0 and tail[begin - 1] == tail[begin - 1 + period]:
        begin -= 1
    return begin
