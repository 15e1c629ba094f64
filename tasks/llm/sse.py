"""Server-sent events: bytes → the JSON objects that they bring. It must not know what the objects mean.

https://html.spec.whatwg.org/multipage/server-sent-events.html, and what servers send instead: no empty line between two
events, an error as a field of its own, no events at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tasks.errors import EngineFault

# Stands for `data: [DONE]`, which is no JSON.
DONE: dict[str, Any] = {"object": "[DONE]"}
# \r\n too: the empty line between them means nothing. Unicode's other line ends may stand within JSON.
LINE_END = re.compile(rb"[\r\n]")
BOM = b"\xef\xbb\xbf"
FIELDS = (b"data", b"event", b"id", b"retry", b"error", b"")  # an empty name makes a comment
# Of a body that is no stream, as much as is read and as much as is shown.
PAGE_BYTES, SHOWN_CHARS = 1 << 20, 120


def events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The objects in their order, `DONE` at last where the server says so.

    Raises `EngineFault` where the body is no stream of events, `ValueError` and `TypeError` where an event is no JSON
    object. A whole answer in JSON, as of a server that does not stream, is one event.
    """
    reader = _Reader()
    for line in _lines(chunks):
        event = reader.take(line)
        if event is not None:
            yield event
        if event is DONE:
            return
    rest, streams = reader.end(), reader.streams
    if rest is not None:
        yield rest
    if rest is not None and not streams:
        yield DONE  # a document that could be parsed is whole


class _Reader:
    """Joins the `data` lines of an event; an event ends with a line that completes its JSON, or with an empty one."""

    def __init__(self) -> None:
        self._data, self._kind, self._page, self.streams = b"", b"", b"", False

    def take(self, line: bytes) -> dict[str, Any] | None:
        name, colon, value = line.partition(b":")
        if not line.strip():
            return self._complete(final=True)
        if not colon or name not in FIELDS:
            self._page += line[: PAGE_BYTES - len(self._page)] + b"\n"
            return None
        self.streams = True
        match name:
            case b"event":
                self._kind = value.strip()
            case b"error":  # llama.cpp: https://github.com/ggml-org/llama.cpp/issues/16104
                return {"error": _object(value)}
            case b"data":
                self._data += value.strip() if not self._data else b"\n" + value
                return self._complete(final=False)
        return None

    def end(self) -> dict[str, Any] | None:
        """What is left at the end of the body."""
        if self._data or self.streams or not self._page.strip():
            return self._complete(final=True)
        try:
            return _object(self._page)
        except (ValueError, TypeError):
            shown = " ".join(self._page.decode(errors="replace").split())[:SHOWN_CHARS]
            raise EngineFault(f"sent a page where a stream of events was due: {shown}") from None

    def _complete(self, *, final: bool) -> dict[str, Any] | None:
        data = self._data.strip()
        if data in (b"", b"null"):  # keeps the connection open
            self._data = b""
            return None
        if data == b"[DONE]":
            return DONE
        try:
            event = _object(data)
        except ValueError:
            if final:
                raise
            return None
        kind, self._data, self._kind = self._kind, b"", b""
        return event | {"error": event} if kind == b"error" and "error" not in event else event


def _object(data: bytes) -> dict[str, Any]:
    event = json.loads(data)
    if not isinstance(event, dict):
        raise TypeError("an event is no JSON object")
    return event


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    buffer, first = b"", True
    for chunk in chunks:
        buffer += chunk
        if first and len(buffer) >= len(BOM):
            buffer, first = buffer.removeprefix(BOM), False
        *lines, buffer = LINE_END.split(buffer)
        yield from lines
    if buffer:
        yield buffer
