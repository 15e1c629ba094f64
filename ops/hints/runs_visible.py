from solution import runs


def test_two_runs():
    assert runs("aaab") == "a3b1"


def test_one_letter():
    assert runs("x") == "x1"
