from solution import clock


def test_morning():
    assert clock(425) == "07:05"


def test_midnight():
    assert clock(0) == "00:00"
