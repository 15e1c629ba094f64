from solution import columns


def test_one_column():
    assert columns([[1], [2]]) == [[1, 2]]


def test_nothing():
    assert columns([]) == []


def test_words():
    assert columns([["a", "b"], ["c", "d"]]) == [["a", "c"], ["b", "d"]]
