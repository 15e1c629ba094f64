import itertools
import random

import pytest
from solution import merge_slots


def minutes(slots):
    return {minute for start, end in slots for minute in range(start, end)}


def test_nothing_booked():
    assert merge_slots([]) == []
    assert merge_slots([(600, 600)]) == []


def test_a_long_slot_swallows_short_ones():
    assert merge_slots([(480, 1020), (500, 510), (540, 600), (1000, 1010)]) == [(480, 1020)]


def test_an_empty_slot_joins_nothing():
    assert merge_slots([(540, 600), (630, 630), (660, 700)]) == [(540, 600), (660, 700)]


def test_a_mistake_among_good_slots_is_found():
    with pytest.raises(ValueError):
        merge_slots([(540, 600), (700, 650), (800, 900)])


def test_the_list_passed_in_stays_as_it_was():
    slots = [(570, 630), (540, 600), (540, 540)]
    merge_slots(slots)
    assert slots == [(570, 630), (540, 600), (540, 540)]


def test_every_minute_is_kept_and_none_is_added():
    numbers = random.Random(5)
    for _ in range(50):
        starts = [numbers.randrange(1380) for _ in range(numbers.randrange(1, 12))]
        slots = [(start, start + numbers.randrange(0, 60)) for start in starts]
        merged = merge_slots(slots)
        assert minutes(merged) == minutes(slots)
        assert all(first[1] < second[0] for first, second in itertools.pairwise(merged))
