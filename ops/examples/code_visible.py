from solution import merge_slots


def test_slots_apart_stay_apart():
    assert merge_slots([(540, 600), (660, 720)]) == [(540, 600), (660, 720)]


def test_overlapping_slots_in_any_order_become_one():
    assert merge_slots([(570, 630), (540, 600)]) == [(540, 630)]


def test_touching_slots_become_one():
    assert merge_slots([(540, 600), (600, 630)]) == [(540, 630)]
