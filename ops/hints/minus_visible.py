from solution import base


def test_two():
    assert base(2) == "110"


def test_minus_one():
    assert base(-1) == "11"
