from solution import mean


def test_of_whole_numbers():
    assert mean([1, 2, 3]) == 2


def test_of_two_numbers():
    assert mean([2, 3]) == 2.5
