from solution import ternary


def test_five():
    assert ternary(5) == "+--"


def test_nine():
    assert ternary(9) == "+00"


def test_negative():
    assert ternary(-7) == "-+-"
