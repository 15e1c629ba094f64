from solution import loudest


def test_one():
    assert loudest([7]) == 7


def test_nobody():
    assert loudest([]) == 0


def test_not_every_second():
    assert loudest([4, 1, 1, 9, 1]) == 13
