from solution import is_even


def test_zero_and_below():
    assert is_even(0) is True
    assert is_even(-3) is False
    assert is_even(-8) is True


def test_large_numbers():
    assert is_even(10**12) is True
    assert is_even(10**12 + 1) is False
