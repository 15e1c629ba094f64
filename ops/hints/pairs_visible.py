from solution import pairs


def test_one_pair():
    assert pairs([1, 2, 3], 5) == 1


def test_equal_numbers():
    assert pairs([2, 2, 2], 4) == 3
