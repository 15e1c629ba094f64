from solution import backwards


def test_a_word():
    assert backwards("abc") == "cba"


def test_no_letters():
    assert backwards("") == ""
