from solution import ordered


def test_numbers():
    assert ordered(["1.10", "1.9"]) == ["1.9", "1.10"]


def test_candidate():
    assert ordered(["2.0", "2.0-rc1"]) == ["2.0-rc1", "2.0"]
