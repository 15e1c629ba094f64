"""The end of a text that grows while somebody watches: bounded, and cheap to add to. Must not know who watches."""

from __future__ import annotations

# What a person reads of a text that is being written; all of it is there once the call is committed.
TAIL_CHARS = 4_000


class TextTail:
    """The last `TAIL_CHARS` characters of a text. One thread adds to it, others read: `chars` is the length of all of
    it, which never shrinks but where it begins anew."""

    __slots__ = ("_kept", "_parts", "chars")

    def __init__(self) -> None:
        self._parts, self._kept, self.chars = list[str](), 0, 0

    def add(self, text: str) -> None:
        """The text goes on."""
        if not text:
            return
        self._parts.append(text)
        self._kept += len(text)
        if self._kept > 2 * TAIL_CHARS:  # now and then, so that a token costs an append
            self._parts = [self.read()]
            self._kept = len(self._parts[0])
        self.chars += len(text)

    def clear(self) -> None:
        """The text begins anew."""
        self._parts, self._kept, self.chars = [], 0, 0

    def read(self) -> str:
        """Its end."""
        return "".join(self._parts)[-TAIL_CHARS:]
