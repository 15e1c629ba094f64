from solution import middle


def test_one_letter():
    assert middle("x") == "x"


def test_two_letters():
    assert middle("ab") == "ab"


def test_longer():
    assert middle("abcdefg") == "d"
