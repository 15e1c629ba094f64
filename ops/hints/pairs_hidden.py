from solution import pairs


def test_none():
    assert pairs([1, 2], 9) == 0


def test_no_number_with_itself():
    assert pairs([5], 10) == 0


def test_negative():
    assert pairs([-1, 1, 0, 0], 0) == 2
