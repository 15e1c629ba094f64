from solution import working


def test_a_week():
    assert working("2024-05-05", "2024-05-11", []) == 5


def test_friday():
    assert working("2024-05-03", "2024-05-03", []) == 0
