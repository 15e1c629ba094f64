from solution import headline


def test_words():
    assert headline("the cat sat") == "The Cat Sat"


def test_the_rest_of_a_word_stays_as_it_was():
    assert headline("don't call NASA") == "Don't Call NASA"


def test_two_spaces_stay_two():
    assert headline("one  two") == "One  Two"
