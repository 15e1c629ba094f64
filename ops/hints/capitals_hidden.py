from solution import headline


def test_nothing():
    assert headline("") == ""


def test_spaces_at_the_ends():
    assert headline(" a b ") == " A B "


def test_inside_a_word():
    assert headline("well-known iPhone facts") == "Well-known IPhone Facts"
