from solution import words


def test_zero():
    assert words(0) == "zero"


def test_teen():
    assert words(413) == "four hundred and thirteen"


def test_round():
    assert words(200) == "two hundred"


def test_tens():
    assert words(990) == "nine hundred and ninety"
