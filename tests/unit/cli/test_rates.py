"""Tokens per second out of counters that are reported every few seconds."""

from __future__ import annotations

import pytest

from tasks.store.joblines import Working
from workers.cli.rates import Rates


def report(at: float, tokens: int, *, epoch: int = 1, now: float | None = None, job: int = 7) -> Working:
    return Working(job=job, epoch=epoch, tokens=tokens, at=at, now=at if now is None else now)


def test_the_pace_is_that_between_reports_whenever_somebody_looks() -> None:
    rates = Rates()
    assert rates.feed([report(0.0, 100)])[7] == 0.0
    assert rates.feed([report(5.0, 200, now=5.4)])[7] == pytest.approx(20.0)
    for now in (6.0, 7.0, 8.0, 9.9):  # no news yet, and no decline
        assert rates.feed([report(5.0, 200, now=now)])[7] == pytest.approx(20.0)
    assert rates.feed([report(10.0, 340, now=10.1)])[7] == pytest.approx(24.0)


def test_a_slow_pace_is_not_lost_between_two_reports() -> None:
    rates = Rates()
    seen = [rates.feed([report(5.0 * (now // 10), 4 * (now // 10), now=now / 2)])[7] for now in range(60)]
    assert seen[-1] == pytest.approx(0.8)


def test_a_new_turn_counts_from_its_own_start() -> None:
    rates = Rates()
    rates.feed([report(0.0, 0), report(0.0, 0, job=8)])
    rates.feed([report(5.0, 500), report(5.0, 50, job=8)])
    seen = rates.feed([report(6.0, 0, epoch=2), report(5.0, 50, job=8)])
    assert seen == {7: 0.0, 8: pytest.approx(10.0)}
    assert rates.feed([report(11.0, 50, epoch=2)]) == {7: pytest.approx(10.0)}


def test_old_reports_are_forgotten_and_silence_is_no_pace() -> None:
    rates = Rates()
    for step in range(10):
        rates.feed([report(5.0 * step, 10 * step)])
    assert rates.feed([report(50.0, 1090)])[7] > 50.0
    assert rates.feed([report(50.0, 1090, now=80.0)])[7] == 0.0
