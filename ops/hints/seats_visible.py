from solution import row


def test_first():
    assert row(1) == "A"


def test_ninth():
    assert row(9) == "J"


def test_after_z():
    assert row(25) == "AA"
