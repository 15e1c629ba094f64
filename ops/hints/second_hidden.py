from solution import second


def test_one_value():
    assert second([7, 7]) is None


def test_nothing():
    assert second([]) is None


def test_negative():
    assert second([-1, -5, -3]) == -3
