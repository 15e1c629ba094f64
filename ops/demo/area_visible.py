from solution import area


def test_of_whole_sides():
    assert area(3, 4) == 12


def test_of_a_line():
    assert area(0, 4) == 0
