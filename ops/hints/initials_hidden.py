from solution import initials


def test_three_words():
    assert initials("john von neumann") == "J.V.N."


def test_nothing():
    assert initials("") == ""


def test_more_spaces():
    assert initials(" grace  hopper ") == "G.H."
