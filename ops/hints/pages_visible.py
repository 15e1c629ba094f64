from solution import pages


def test_example():
    assert pages([1, 2, 3, 5, 6]) == "1-3, 5, 6"


def test_one():
    assert pages([4]) == "4"
