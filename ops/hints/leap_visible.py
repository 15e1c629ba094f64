from solution import leap_years


def test_three():
    assert leap_years(2000, 2008) == [2000, 2004, 2008]


def test_none():
    assert leap_years(2001, 2003) == []
