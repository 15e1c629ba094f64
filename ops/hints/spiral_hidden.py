from solution import spiral


def test_one_row():
    assert spiral([[1, 2, 3]]) == [1, 2, 3]


def test_wide():
    assert spiral([[1, 2, 3], [4, 5, 6]]) == [1, 4, 5, 6, 3, 2]


def test_nothing():
    assert spiral([]) == []
