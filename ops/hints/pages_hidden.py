from solution import pages


def test_any_order():
    assert pages([9, 7, 8, 7, 1]) == "1, 7-9"


def test_nothing():
    assert pages([]) == ""


def test_end():
    assert pages([1, 3, 4, 5, 6]) == "1, 3-6"
