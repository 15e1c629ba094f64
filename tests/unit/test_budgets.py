"""The rules of reservation: whatever runs at once, and however it ends, no limit is passed."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tasks.budgets import Amounts, Room, room

CENTS = st.integers(min_value=0, max_value=70)


class Account:
    """One limit, and the calls in flight that hold a reservation of it."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self.in_flight: list[int] = []

    @property
    def held(self) -> int:
        return sum(self.in_flight)

    def begin(self, most: int) -> None:
        if room(self.limit, self.used, self.held, most) is Room.FITS:
            self.in_flight.append(most)

    def end(self, which: int, percent: int) -> None:
        """A call in flight ends, and has used some percent of what it reserved; none where its holder died."""
        if self.in_flight:
            self.used += self.in_flight.pop(which % len(self.in_flight)) * percent // 100


STEPS = st.lists(st.tuples(st.booleans(), CENTS, st.integers(min_value=0, max_value=100)), max_size=60)


@given(limit=st.integers(min_value=1, max_value=200), steps=STEPS)
def test_no_order_of_calls_that_begin_and_end_passes_a_limit(limit: int, steps: list[tuple[bool, int, int]]) -> None:
    account = Account(limit)
    for begins, amount, percent in steps:
        if begins:
            account.begin(amount)
        else:
            account.end(amount, percent)
        assert account.used + account.held <= limit


@given(limit=CENTS, used=CENTS, held=CENTS, needed=CENTS)
def test_a_call_is_refused_for_good_only_where_it_would_not_fit_alone(
    limit: int, used: int, held: int, needed: int
) -> None:
    alone, beside = room(limit, used, 0, needed), room(limit, used, held, needed)
    assert (alone is Room.SPENT) == (beside is Room.SPENT)
    if beside is Room.RESERVED:
        assert alone is Room.FITS


def test_what_has_no_limit_or_needs_nothing_fits() -> None:
    assert room(None, 10**9, 10**9, 10**9) is Room.FITS
    assert room(Decimal("0.50"), Decimal("0.60"), Decimal(0), Decimal(0)) is Room.FITS


def test_a_limit_may_be_used_to_the_last_cent_and_not_beyond() -> None:
    limit, used = Decimal("0.50"), Decimal("0.20")
    assert room(limit, used, Decimal("0.10"), Decimal("0.20")) is Room.FITS
    assert room(limit, used, Decimal("0.100001"), Decimal("0.20")) is Room.RESERVED
    assert room(limit, used, Decimal(0), Decimal("0.300001")) is Room.SPENT


def test_tokens_are_those_of_the_cloud_and_local_ones() -> None:
    assert Amounts(cloud_tokens=300, local_tokens=45).tokens == 345
