from solution import words


def test_small():
    assert words(21) == "twenty-one"


def test_and():
    assert words(105) == "one hundred and five"
