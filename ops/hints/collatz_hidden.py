from solution import steps


def test_a_power_of_two():
    assert steps(1024) == 10


def test_a_long_way():
    assert steps(27) == 111


def test_three():
    assert steps(3) == 7
