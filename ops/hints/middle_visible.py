from solution import middle


def test_odd():
    assert middle("cat") == "a"


def test_even():
    assert middle("door") == "oo"
