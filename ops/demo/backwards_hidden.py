from solution import backwards


def test_another_word():
    assert backwards("stressed") == "desserts"


def test_two_words():
    assert backwards("a bc") == "cb a"


def test_the_case_of_letters():
    assert backwards("Redraft") == "tfardeR"
