"""Bytes of every usual origin become the same text."""

from __future__ import annotations

import pytest

from tasks.decoding import decode, exact

TEXT = "title: Größe\nzweite Zeile 🙂\n"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le+mark", "utf-16-be+mark"])
def test_marks_and_line_ends_of_every_editor_are_gone(encoding: str, ends: str) -> None:
    name, _, marked = encoding.partition("+")
    content = (("\ufeff" if marked else "") + TEXT.replace("\n", ends)).encode(name)
    assert decode(content) == TEXT


def test_a_mark_inside_a_text_and_a_lone_carriage_return_are_content() -> None:
    assert decode("a\ufeffb\rc".encode()) == "a\ufeffb\rc"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"caf\xe9", "offset 3 is not UTF-8"),
        (b"\xef\xbb\xbfcaf\xe9", "offset 6 is not UTF-8"),
        (b"\xff\xfea", "offset 2 is not UTF-16"),
        (b"\xff\xfea\x00\x00\xd8", "offset 4 is not UTF-16"),
    ],
)
def test_what_is_no_text_is_named_by_its_byte(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(content)


@pytest.mark.parametrize("content", [b"", b"a\r\nb", "\ufeffé".encode(), b"\xe9", b"a\0b", b"\xff\xfea\0"])
def test_exact_content_gives_the_same_bytes_back(content: bytes) -> None:
    content_or_text = exact(content)
    assert (content_or_text.encode() if isinstance(content_or_text, str) else content_or_text) == content
    assert isinstance(content_or_text, bytes) is (b"\0" in content or content == b"\xe9")
