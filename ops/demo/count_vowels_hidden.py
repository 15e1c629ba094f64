from solution import count_vowels


def test_each_vowel():
    assert count_vowels("education") == 5


def test_no_letters():
    assert count_vowels("") == 0


def test_the_same_vowel_again():
    assert count_vowels("moon room") == 4
