from solution import steps


def test_already_there():
    assert steps(1) == 0


def test_six():
    assert steps(6) == 8
