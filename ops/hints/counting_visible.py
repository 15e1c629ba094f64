from solution import order


def test_three():
    assert order(3) == [1, 3, 2]


def test_four():
    assert order(4) == [1, 3, 4, 2]
