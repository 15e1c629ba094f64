"""Makes texts fit for display: cut to a length, and safe for a database and a terminal. Pure; must not know any
validator."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def clipped(text: str, chars: int) -> str:
    """`text` with its end cut to at most `chars` characters."""
    return text if len(text) <= chars else text[: max(0, chars - 2)].rstrip() + " …"


def printable(text: str) -> str:
    """`text` with a replacement for each character that Postgres or a terminal can't take."""
    return _UNPRINTABLE.sub("\ufffd", text)
