from solution import columns


def test_two_rows():
    assert columns([[1, 2], [3, 4]]) == [[1, 3], [2, 4]]


def test_one_row():
    assert columns([[1, 2, 3]]) == [[1], [2], [3]]
