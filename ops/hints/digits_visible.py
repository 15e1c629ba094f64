from solution import root


def test_once():
    assert root(12) == 3


def test_twice():
    assert root(38) == 2
