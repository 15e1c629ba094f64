from solution import ranks


def test_example():
    assert ranks([9, 7, 7, 5]) == [1, 3, 3, 4]


def test_order():
    assert ranks([1, 2]) == [2, 1]
