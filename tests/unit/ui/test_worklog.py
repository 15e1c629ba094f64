"""What was done over the night: read once where it changes no more, and spread over the time that it took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tasks.store.board_rows import Stretch
from workers.ui.worklog import WorkLog, begin, spread

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WIDTH = 600


class Work:
    """A board whose every stretch had one call of `call_seconds`. `asked` keeps the moments from which it was read."""

    def __init__(self, now: datetime) -> None:
        self.now, self.asked = now, list[datetime]()

    def ended_work(self, since: datetime, *, seconds: int) -> tuple[Stretch, ...]:
        """All since then."""
        self.asked.append(since)
        began = [since + timedelta(seconds=seconds * n) for n in range(200)]
        return tuple(stretch(moment) for moment in began if moment <= self.now)


def stretch(began: datetime, call_seconds: float = 60.0) -> Stretch:
    return Stretch(
        began=began, tokens=1200, usd=Decimal("0.1"), calls=1, call_seconds=call_seconds, checks=2, check_seconds=30.0
    )


def test_what_has_ended_long_ago_is_read_once() -> None:
    log, since = WorkLog(), NOON - timedelta(hours=12)
    work = Work(NOON)
    first = log.read("ada", work, since, NOON, WIDTH)  # type: ignore[arg-type]
    again = log.read("ada", work, since, NOON, WIDTH)  # type: ignore[arg-type]
    assert first == again
    assert work.asked[0] <= since
    assert NOON - work.asked[1] <= timedelta(seconds=3 * WIDTH)


def test_each_login_has_its_own() -> None:
    log, since, work = WorkLog(), NOON - timedelta(hours=12), Work(NOON)
    log.read("ada", work, since, NOON, WIDTH)  # type: ignore[arg-type]
    log.read("bob", work, since, NOON, WIDTH)  # type: ignore[arg-type]
    assert work.asked[0] == work.asked[1]


def test_short_work_counts_where_it_ended() -> None:
    since = NOON - timedelta(hours=1)
    load = spread({NOON: stretch(NOON)}, since, NOON, WIDTH)
    assert len(load) == 7
    assert [round(row.calls, 3) for row in load] == [0, 0, 0, 0, 0, 0, 0.1]
    assert load[-1].tokens_per_second == 2.0
    assert round(load[-1].checks, 3) == 0.05


def test_work_that_took_longer_is_spread_back_over_the_time_before() -> None:
    since = NOON - timedelta(hours=1)
    load = spread({NOON: stretch(NOON, 1500.0)}, since, NOON, WIDTH)
    assert [row.calls > 0 for row in load] == [False, False, False, True, True, True, True]
    assert round(sum(row.calls for row in load) * WIDTH) == 1500


def test_stretches_begin_where_those_of_the_database_do() -> None:
    assert begin(NOON + timedelta(seconds=599), WIDTH) == NOON
