from solution import value


def test_example():
    assert value("- 7 + 1 2") == 4


def test_times():
    assert value("* + 1 2 3") == 9
