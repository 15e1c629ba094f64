from solution import double


def test_of_three():
    assert double(3) == 6


def test_of_a_negative_number():
    assert double(-2) == -4
