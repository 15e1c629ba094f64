from solution import squeeze


def test_capitals():
    assert squeeze("EUROPE") == "ERP"


def test_nothing():
    assert squeeze("") == ""


def test_words():
    assert squeeze("on the sea") == "on th s"
