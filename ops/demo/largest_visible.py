from solution import largest


def test_in_the_middle():
    assert largest([3, 9, 2]) == 9


def test_below_zero():
    assert largest([-3, -9]) == -3
