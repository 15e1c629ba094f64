from solution import coins


def test_not_the_largest():
    assert coins([5, 4, 4], 8) == 2


def test_impossible():
    assert coins([2, 2], 3) is None
