from solution import parts


def test_four():
    assert parts(4) == [3, 1]


def test_eleven():
    assert parts(11) == [8, 3]
