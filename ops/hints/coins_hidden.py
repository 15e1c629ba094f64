from solution import coins


def test_once():
    assert coins([3], 6) is None


def test_nothing_to_pay():
    assert coins([1, 2], 0) == 0


def test_many():
    assert coins([10, 7, 6, 1, 1, 1], 13) == 2
