import itertools
import random

from solution import merge_slots


def minutes(slots):
    return {minute for start, end in slots for minute in range(start, end)}


def test_nothing_booked():
    assert merge_slots([]) == []


def test_a_long_slot_swallows_short_ones():
    assert merge_slots([(480, 1020), (500, 510), (540, 600), (1000, 1010)]) == [(480, 1020)]


def test_the_list_passed_in_stays_as_it_was():
    slots = [(570, 630), (540, 600)]
    merge_slots(slots)
    assert slots == [(570, 630), (540, 600)]


def test_every_minute_is_kept_and_none_is_added():
    numbers = random.Random(5)
    for _ in range(50):
        starts = [numbers.randrange(1380) for _ in range(numbers.randrange(1, 12))]
        slots = [(start, start + numbers.randrange(1, 60)) for start in starts]
        merged = merge_slots(slots)
        assert minutes(merged) == minutes(slots)
        assert all(first[1] < second[0] for first, second in itertools.pairwise(merged))
