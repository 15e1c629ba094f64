"""Tokens per second of jobs at work, out of counters that their workers report every few seconds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tasks.store.joblines import Working

# The average is over the reports of about this long, or the figure dances.
WINDOW_SECONDS = 15.0
# Without news for this long nothing is drafted: three reports of a lease of 15 s are missing.
SILENT_SECONDS = 20.0


@dataclass(slots=True)
class _Turn:
    epoch: int
    reports: list[tuple[float, int]] = field(default_factory=list)

    def add(self, at: float, tokens: int) -> None:
        if not self.reports or (at, tokens) != self.reports[-1]:
            self.reports.append((at, tokens))
        while len(self.reports) > 2 and self.reports[1][0] < at - WINDOW_SECONDS:
            del self.reports[0]

    def rate(self, now: float) -> float:
        (first, before), (last, tokens) = self.reports[0], self.reports[-1]
        if now - last > SILENT_SECONDS:
            return 0.0
        return (tokens - before) / (last - first) if last > first else 0.0


class Rates:
    """The rates of all jobs at work; feed it each look. A job that is not among them drafts nothing."""

    def __init__(self) -> None:
        self._turns: dict[int, _Turn] = {}

    def feed(self, working: Iterable[Working]) -> Mapping[int, float]:
        """Tokens per second by job, after one more look. A new turn counts from zero, and is known by its second
        report."""
        rates: dict[int, float] = {}
        turns: dict[int, _Turn] = {}
        for job in working:
            turn = self._turns.get(job.job)
            if turn is None or turn.epoch != job.epoch or job.tokens < turn.reports[-1][1]:
                turn = _Turn(epoch=job.epoch)
            turn.add(job.at, job.tokens)
            turns[job.job], rates[job.job] = turn, turn.rate(job.now)
        self._turns = turns
        return rates
