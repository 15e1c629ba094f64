from solution import rotate


def test_one_place():
    assert rotate([1, 2, 3], 1) == [3, 1, 2]


def test_no_place():
    assert rotate([1, 2], 0) == [1, 2]
