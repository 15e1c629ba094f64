from solution import mean


def test_of_one_number():
    assert mean([7]) == 7


def test_of_numbers_below_zero():
    assert mean([-4, -2, 0, 2]) == -1


def test_of_fractions():
    assert abs(mean([0.5, 0.25]) - 0.375) < 1e-9
