from solution import runs


def test_nothing():
    assert runs("") == ""


def test_a_letter_that_comes_again():
    assert runs("aba") == "a1b1a1"


def test_a_long_run():
    assert runs("z" * 12) == "z12"
