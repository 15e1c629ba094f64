"""The rules of reservation: whatever runs at once, and however it ends, no limit is passed."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tasks.budgets import (
    NOTHING,
    Amounts,
    Room,
    above,
    call_seconds,
    crossed,
    most_cost,
    most_together,
    room,
    turn_seconds,
)
from tasks.types import BatchBudget, Budget, Egress

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


@given(limit=st.integers(min_value=1, max_value=200), steps=STEPS, factor=st.integers(min_value=100, max_value=300))
def test_a_limit_is_passed_by_what_calls_use_above_their_reservations_alone(
    limit: int, steps: list[tuple[bool, int, int]], factor: int
) -> None:
    """Each call ends, and has used some percent of its reservation, of which more than all is possible."""
    account, over = Account(limit), 0
    for begins, amount, percent in steps:
        if begins:
            fits = account.used + account.held + amount <= limit
            before = account.held
            account.begin(amount)
            assert (account.held == before + amount) or not fits, "whatever was passed, nothing more begins"
        elif account.in_flight:
            reserved, used = account.in_flight[amount % len(account.in_flight)], account.used
            account.end(amount, percent * factor // 100)
            charged = account.used - used
            over += above(Amounts(local_tokens=charged), Amounts(local_tokens=reserved)).local_tokens
        assert account.used - over + account.held <= limit


def test_what_is_above_a_reservation_is_told_unit_by_unit() -> None:
    reserved = Amounts(usd=Decimal("0.10"), cloud_tokens=100, gpu_seconds=5.0)
    used = Amounts(usd=Decimal("0.12"), cloud_tokens=90, local_tokens=7, gpu_seconds=9.0)
    assert above(used, reserved) == Amounts(usd=Decimal("0.02"), local_tokens=7)
    assert above(reserved, reserved) == NOTHING


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


# ── engine time ───────────────────────────────────────────────────────────────────────────────────


@given(
    limit=st.floats(min_value=0.5, max_value=10_000),
    ends=st.lists(st.floats(min_value=0, max_value=1), max_size=40),
    together=st.integers(min_value=1, max_value=6),
)
def test_calls_that_are_cut_when_their_time_is_over_stay_within_the_limit(
    limit: float, ends: list[float], together: int
) -> None:
    used, in_flight = 0.0, list[float]()
    for share in ends:
        while len(in_flight) < together and (given := call_seconds(limit, used, sum(in_flight))):
            in_flight.append(given)
        assert used + sum(in_flight) <= limit + 1e-6
        if in_flight:
            used += in_flight.pop(0) * share


def test_no_call_of_several_at_once_takes_all_that_is_left() -> None:
    assert call_seconds(1000.0, 0.0, 0.0) == 250.0
    assert call_seconds(100.0, 0.0, 0.0) == 30.0
    assert call_seconds(100.0, 80.0, 5.0) == 15.0
    assert call_seconds(100.0, 99.5, 0.0) == 0.0


@given(
    limit=st.floats(min_value=1, max_value=10_000),
    steps=st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(min_value=0, max_value=200)), max_size=60),
)
def test_turns_whose_calls_are_cut_stay_together_within_the_hours(
    limit: float, steps: list[tuple[int, bool, float]]
) -> None:
    """A turn has the time of the longest of its calls in flight; while they last, its time is used by the clock."""
    used, turns = 0.0, dict[int, float]()
    for turn, calls, passing in steps:
        if calls:
            given = turn_seconds(limit, used, sum(turns.values()), turns.get(turn, 0.0))
            assert given >= turns.get(turn, 0.0) or given == 0.0
            turns[turn] = max(given, turns.get(turn, 0.0))
        else:
            used += sum(min(left, passing) for left in turns.values())
            turns = {one: left - passing for one, left in turns.items() if left > passing}
        assert used + sum(turns.values()) <= limit + 1e-6


def test_a_second_call_of_a_turn_lasts_as_long_as_the_first_where_nothing_else_is_left() -> None:
    assert turn_seconds(100.0, 0.0, 0.0, 0.0) == 30.0
    assert turn_seconds(40.0, 0.0, 40.0, 40.0) == 40.0
    assert turn_seconds(40.0, 0.0, 40.0, 0.0) == 0.0
    assert turn_seconds(40.0, 39.5, 0.0, 0.0) == 0.0


# ── warnings ──────────────────────────────────────────────────────────────────────────────────────


@given(
    steps=st.lists(st.integers(min_value=0, max_value=30), max_size=40), limit=st.integers(min_value=1, max_value=300)
)
def test_each_warning_comes_once_whatever_the_steps(steps: list[int], limit: int) -> None:
    used, warned = 0, list[int]()
    for step in steps:
        warned += crossed(limit, used, used + step)
        used += step
    assert warned == [percent for percent in (50, 80) if used * 100 >= limit * percent]


def test_what_has_no_limit_warns_of_nothing() -> None:
    assert crossed(None, 0, 10**9) == ()


# ── the most that a job can cost ──────────────────────────────────────────────────────────────────


def test_a_job_costs_at_most_its_budget_and_no_dollars_where_nothing_leaves() -> None:
    budget = Budget(usd=Decimal("1.50"), tokens=1000, local_tokens=800, cloud_tokens=100, hours=2.0, iterations=3)
    away, at_home = most_cost(budget, Egress.FULL), most_cost(budget, Egress.NEVER)
    assert (away.usd, away.tokens, away.local_tokens, away.cloud_tokens) == (Decimal("1.50"), 900, 800, 100)
    assert (at_home.usd, at_home.tokens, at_home.cloud_tokens) == (Decimal(0), 800, 0)
    assert (away.hours, away.iterations, away.gpu_seconds) == (2.0, 3, None)


def test_jobs_together_cost_at_most_what_they_share() -> None:
    one = most_cost(Budget(usd=Decimal(2), tokens=1000, hours=4.0, gpu_seconds=60.0), Egress.FULL)
    both = most_together([one, one])
    assert (both.usd, both.tokens, both.hours, both.gpu_seconds) == (Decimal(4), 2000, 8.0, 120.0)
    pooled = most_together([one, one], BatchBudget(usd=Decimal(3), tokens=1500, hours=1.0))
    assert (pooled.usd, pooled.tokens, pooled.hours) == (Decimal(3), 1500, 2.0)
