from solution import run_lengths


def test_nothing():
    assert run_lengths("") == []


def test_a_long_run():
    assert run_lengths("z" * 40) == [("z", 40)]
