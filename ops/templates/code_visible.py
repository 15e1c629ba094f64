from solution import slug


def test_words_are_joined_by_hyphens():
    assert slug("Two Pumps and a Leak") == "two-pumps-and-a-leak"


def test_no_hyphen_is_at_either_end():
    assert slug("  Really?  ") == "really"
