from solution import longest


def test_nothing():
    assert longest("") == ""


def test_a_comma():
    assert longest("a, bcd, ef") == "bcd"


def test_only_signs():
    assert longest(". ,") == ""
