from solution import shift


def test_one_place():
    assert shift("abc", 1) == "bcd"


def test_after_z():
    assert shift("xyz", 3) == "abc"
