from solution import ordered


def test_candidates():
    assert ordered(["1.0-rc10", "1.0-rc9", "0.9"]) == ["0.9", "1.0-rc9", "1.0-rc10"]


def test_equal():
    assert ordered(["1.2.0", "1.2", "1.1"]) == ["1.1", "1.2.0", "1.2"]


def test_missing():
    assert ordered(["1.2.0-rc1", "1.2"]) == ["1.2.0-rc1", "1.2"]
