from solution import spiral


def test_two():
    assert spiral([[1, 2], [3, 4]]) == [1, 3, 4, 2]


def test_three():
    assert spiral([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) == [1, 4, 7, 8, 9, 6, 3, 2, 5]
