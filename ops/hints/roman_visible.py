from solution import roman


def test_small():
    assert roman(3) == "III"


def test_one_before():
    assert roman(9) == "IX"
