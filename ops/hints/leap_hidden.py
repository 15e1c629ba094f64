from solution import leap_years


def test_a_century():
    assert leap_years(1896, 1904) == [1896, 1904]


def test_one_year():
    assert leap_years(2024, 2024) == [2024]


def test_every_fourth_century():
    assert leap_years(1999, 2001) == [2000]
