from solution import base


def test_zero():
    assert base(0) == "0"


def test_three():
    assert base(3) == "111"


def test_ten():
    assert base(-10) == "1010"
