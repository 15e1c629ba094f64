from solution import higher


def test_far():
    assert higher(1999) == 9199


def test_zero():
    assert higher(201) == 210


def test_deep():
    assert higher(34722641) == 34724126
