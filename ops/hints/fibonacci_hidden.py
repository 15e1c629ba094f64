from solution import parts


def test_one():
    assert parts(1) == [1]


def test_hundred():
    assert parts(100) == [89, 8, 3]


def test_itself():
    assert parts(21) == [21]
