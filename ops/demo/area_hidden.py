from solution import area


def test_of_fractions():
    assert area(0.5, 0.5) == 0.25


def test_many_sides():
    for width in range(10):
        for height in range(10):
            assert area(width, height) == width * height
