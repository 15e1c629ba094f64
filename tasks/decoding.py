"""Bytes from outside → text: the only module that knows byte order marks and line ends. Must not know their source."""

from __future__ import annotations

import codecs

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_MARK = "\ufeff"


def decode(content: bytes) -> str:
    """The text of UTF-8, or of UTF-16 where a byte order mark says so, without the mark and with `\\n` at line ends.

    Raises `ValueError`, whose message says which byte is wrong.
    """
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding[:6].upper().rstrip("-")
        raise ValueError(f"the byte at offset {len(mark) + error.start} is not {name}") from None
    return text.lstrip(_MARK).replace("\r\n", "\n")


def exact(content: bytes) -> str | bytes:
    """`content` as text where it is UTF-8 without NUL, which encodes to the same bytes again; else as it is."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    return content if "\0" in text else text
