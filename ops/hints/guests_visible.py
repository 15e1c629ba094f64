from solution import loudest


def test_around():
    assert loudest([5, 1, 5]) == 5


def test_four():
    assert loudest([1, 2, 3, 1]) == 4
