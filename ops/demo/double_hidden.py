from solution import double


def test_many_numbers():
    for n in range(-50, 51):
        assert double(n) == n + n
