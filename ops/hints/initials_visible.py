from solution import initials


def test_two_words():
    assert initials("ada lovelace") == "A.L."


def test_one_word():
    assert initials("plato") == "P."
