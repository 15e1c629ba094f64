from solution import is_palindrome


def test_yes():
    assert is_palindrome("level") is True


def test_no():
    assert is_palindrome("ab") is False
