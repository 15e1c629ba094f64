from solution import squeeze


def test_a_word():
    assert squeeze("banana") == "bnn"


def test_the_first_stays():
    assert squeeze("apple") == "appl"
