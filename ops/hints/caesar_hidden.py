from solution import shift


def test_other_signs():
    assert shift("a, B!", 2) == "c, B!"


def test_a_whole_round():
    assert shift("hello", 26) == "hello"


def test_backwards():
    assert shift("bcd", -1) == "abc"
