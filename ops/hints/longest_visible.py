from solution import longest


def test_a_sentence():
    assert longest("The quick fox.") == "quick"


def test_the_first_of_several():
    assert longest("one two") == "one"
