from solution import second


def test_three():
    assert second([3, 1, 2]) == 2


def test_the_largest_twice():
    assert second([5, 5, 4]) == 4
