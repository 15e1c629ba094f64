from solution import added


def test_middle():
    assert added("abca") == 1


def test_empty():
    assert added("") == 0


def test_long():
    assert added("leetcode") == 5
