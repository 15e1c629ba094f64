from solution import working


def test_sunday():
    assert working("2024-05-05", "2024-05-05", []) == 1


def test_holiday():
    assert working("2024-05-05", "2024-05-11", ["2024-05-06", "2024-05-10"]) == 4


def test_before():
    assert working("2024-05-06", "2024-05-05", []) == 0
