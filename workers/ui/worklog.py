"""What was done over the night, kept between two looks: what has ended changes no more, so only the end of it is read
again. And spread over the time that it took."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasks.store.board_rows import Stretch

if TYPE_CHECKING:
    from tasks.board import Board

# A transaction that began before a stretch was over may commit so long afterwards.
SETTLED_SECONDS = 120
MOST_KEPT = 32

# By their begin.
Stretches = Mapping[datetime, Stretch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One stretch of the night: tokens written a second, dollars spent, model calls and checks at once on average."""

    began: datetime
    tokens_per_second: float
    usd: float
    calls: float
    checks: float


class WorkLog:
    """What ended in each stretch, for each login and each length of a stretch."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], dict[datetime, Stretch]] = {}
        self._lock = threading.Lock()

    def read(self, login: str, board: Board, since: datetime, now: datetime, seconds: int) -> Stretches:
        """The stretches since a moment, by their begin. Raises `DatabaseUnavailable`."""
        with self._lock:
            kept = {began: row for began, row in self._kept.get((login, seconds), {}).items() if began >= since}
        settled = now - timedelta(seconds=SETTLED_SECONDS + seconds)
        first = max((began for began in kept if began <= settled), default=since - timedelta(microseconds=1))
        fresh = board.ended_work(begin(first, seconds) + timedelta(seconds=seconds), seconds=seconds)
        kept |= {row.began: row for row in fresh}
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[login, seconds] = kept
        return kept


def begin(moment: datetime, seconds: int) -> datetime:
    """When the stretch of so many seconds, counted from 1970, began that holds a moment."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


def spread(rows: Stretches, since: datetime, now: datetime, seconds: int) -> Sequence[Load]:
    """Each stretch from `since` to `now`. What ended in one and took longer is spread back over those before it, as if
    each call had taken as long as the average one."""
    count = int((begin(now, seconds) - since).total_seconds() // seconds) + 1
    calls, checks, tokens, usd = ([0.0] * count for _ in range(4))
    for began, row in rows.items():
        place = int((began - since).total_seconds() // seconds)
        if 0 <= place < count:
            usd[place] += float(row.usd)
            shares = _shares(place, row.call_seconds / row.calls if row.calls else 0.0, seconds)
            for at, share in shares:
                calls[at] += row.call_seconds * share / seconds
                tokens[at] += row.tokens * share / seconds
            for at, share in _shares(place, row.check_seconds / row.checks if row.checks else 0.0, seconds):
                checks[at] += row.check_seconds * share / seconds
    return [
        Load(
            began=since + timedelta(seconds=number * seconds),
            tokens_per_second=tokens[number],
            usd=usd[number],
            calls=calls[number],
            checks=checks[number],
        )
        for number in range(count)
    ]


def _shares(place: int, average_seconds: float, seconds: int) -> Sequence[tuple[int, float]]:
    """The stretches over which work that ended in stretch `place`, evenly over it, was done, with each one's share."""
    before = min(int(average_seconds // seconds) + 1 if average_seconds > seconds / 2 else 0, place)
    return [(place - back, 1 / (before + 1)) for back in range(before + 1)]
