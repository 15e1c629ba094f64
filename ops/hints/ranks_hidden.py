from solution import ranks


def test_all_equal():
    assert ranks([4, 4, 4]) == [3, 3, 3]


def test_nobody():
    assert ranks([]) == []


def test_first():
    assert ranks([8, 3, 8]) == [2, 3, 2]
