from solution import roman


def test_a_year():
    assert roman(1994) == "MCMXCIV"


def test_the_largest():
    assert roman(3999) == "MMMCMXCIX"


def test_forty():
    assert roman(40) == "XL"
