from math import factorial as expected

from solution import factorial


def test_many():
    for n in range(25):
        assert factorial(n) == expected(n)
