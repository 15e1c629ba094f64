from solution import value


def test_number():
    assert value("-5") == -5


def test_towards_zero():
    assert value("/ -7 2") == -3


def test_deep():
    assert value("- - 10 3 / 9 2") == 3
