from solution import rotate


def test_more_than_its_length():
    assert rotate([1, 2, 3], 4) == [3, 1, 2]


def test_nothing():
    assert rotate([], 3) == []


def test_to_the_left():
    assert rotate([1, 2, 3], -1) == [2, 3, 1]
