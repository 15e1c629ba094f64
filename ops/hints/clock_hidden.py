from solution import clock


def test_evening():
    assert clock(1439) == "23:59"


def test_noon():
    assert clock(720) == "12:00"


def test_after_nine():
    assert clock(61) == "01:01"
