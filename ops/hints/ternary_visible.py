from solution import ternary


def test_two():
    assert ternary(2) == "+-"


def test_minus_one():
    assert ternary(-1) == "-"


def test_zero():
    assert ternary(0) == "0"
