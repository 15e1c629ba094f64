from solution import slug


def test_several_characters_become_one_hyphen():
    assert slug("Q&A -- part 2: why?") == "q-a-part-2-why"


def test_a_title_without_a_letter_has_no_slug():
    assert slug("!?") == ""


def test_a_slug_stays_as_it_is():
    assert slug("two-pumps") == "two-pumps"
