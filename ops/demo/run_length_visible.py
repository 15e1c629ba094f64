from solution import run_lengths


def test_two_runs():
    assert run_lengths("aab") == [("a", 2), ("b", 1)]


def test_a_letter_that_comes_back():
    assert run_lengths("aba") == [("a", 1), ("b", 1), ("a", 1)]
