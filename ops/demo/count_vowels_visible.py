from solution import count_vowels


def test_some():
    assert count_vowels("banana") == 3


def test_none():
    assert count_vowels("xyz") == 0
