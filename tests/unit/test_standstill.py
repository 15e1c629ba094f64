"""A machine that stood still is told from workers that died."""

from __future__ import annotations

from tests.turns import StoppedClock
from workers.standstill import LATE_SECONDS, Standstill


def test_leases_count_while_every_rest_is_as_long_as_planned() -> None:
    clock = StoppedClock()
    standstill = Standstill(15.0, clock)
    assert standstill.over(), "nothing is known before the first rest"
    for _ in range(3):
        standstill.rests(1.0)
        clock.now += 1.0 + LATE_SECONDS
        assert standstill.over()


def test_after_a_standstill_leases_are_spared_until_the_living_have_renewed_them() -> None:
    clock = StoppedClock()
    standstill = Standstill(15.0, clock)
    standstill.rests(1.0)
    clock.now += 20.0
    assert not standstill.over()
    for _ in range(14):
        standstill.rests(1.0)
        clock.now += 1.0
        assert not standstill.over()
    standstill.rests(1.0)
    clock.now += 1.0
    assert standstill.over(), "a worker that died in it is found"


def test_a_slow_look_is_no_standstill() -> None:
    """A database that takes its time keeps no dead worker's lease alive."""
    clock = StoppedClock()
    standstill = Standstill(15.0, clock)
    for _ in range(3):
        standstill.rests(1.0)
        clock.now += 1.0
        assert standstill.over()
        clock.now += 60.0
