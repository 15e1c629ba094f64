"""Text on its way into a page: every value of a template goes through `shown`. Pure."""

from __future__ import annotations

from datetime import datetime
from html import escape

from tasks.printable import printable
from workers.wording import duration

# A text in the middle of a page; what is longer has a page of its own.
LONG = 20_000


def shown(value: str | bytes) -> str:
    """HTML that shows a text: what could deceive a reader becomes an escape, and nothing of it is markup. What a
    database can hold and UTF-8 can't, is shown as an escape, too."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    return escape(printable(text), quote=True)


def clipped(text: str, chars: int = LONG) -> str:
    """The beginning of a long text, which says how much is missing."""
    return text if len(text) <= chars else f"{text[:chars]}\n… {len(text) - chars:,} more characters"


def one_line(text: str, chars: int = 200) -> str:
    """A text in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[: chars - 1]}…"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago a moment was; how far it is, where it is still to come."""
    seconds = (now - moment).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def clock(moment: datetime) -> str:
    """A moment in UTC, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
