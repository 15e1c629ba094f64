from solution import is_palindrome


def test_short_texts():
    assert is_palindrome("") is True
    assert is_palindrome("x") is True


def test_even_length():
    assert is_palindrome("abba") is True
    assert is_palindrome("abca") is False
