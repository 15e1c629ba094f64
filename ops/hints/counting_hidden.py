from solution import order


def test_one():
    assert order(1) == [1]


def test_none():
    assert order(0) == []


def test_six():
    assert order(6) == [1, 3, 6, 2, 4, 5]
