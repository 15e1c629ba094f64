from solution import largest


def test_of_one():
    assert largest([4]) == 4


def test_at_either_end():
    assert largest([8, 1, 2]) == 8
    assert largest([1, 2, 8]) == 8


def test_does_not_change_the_list():
    numbers = [2, 5, 1]
    largest(numbers)
    assert numbers == [2, 5, 1]
