from solution import added


def test_two():
    assert added("ab") == 1


def test_already():
    assert added("abba") == 0
