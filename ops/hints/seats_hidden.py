from solution import row


def test_last():
    assert row(24) == "Z"


def test_second_round():
    assert row(49) == "BA"


def test_three():
    assert row(601) == "AAA"
