from solution import root


def test_nothing_to_add():
    assert root(7) == 7


def test_zero():
    assert root(0) == 0


def test_large():
    assert root(999999999999) == 9
