"""Frames of JSON over pairs of pipes, and which pair a thread speaks on. Must not know what a frame says."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FRAME_BYTES = 256 * 2**20
_CHUNK = 65536
_HEAD = 4
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().decode


class Gone(BaseException):
    """The process at the other end has ended, or says what nobody understands. No `Exception`: a test that expects
    one must not take the end of the solution for it."""


class Channel:
    """One pair of pipes. Both ends take turns: a frame is sent, then one is received. `described` is for the peer."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._rest = b""
        self.described: set[int] = set()
        self.lock = threading.RLock()
        self.serving = 0  # how many requests of the other side are being answered

    def send(self, frame: list[Any]) -> None:
        """Writes one frame. Raises `Gone`."""
        body = _encode(frame).encode()
        data = len(body).to_bytes(_HEAD, "big") + body
        try:
            while data:
                data = data[os.write(self._writing, data) :]
        except OSError as error:
            raise Gone(str(error)) from None

    def receive(self) -> list[Any]:
        """Reads one frame. Raises `Gone`."""
        data = self._rest
        while len(data) < _HEAD:
            data += self._read(_CHUNK)
        length = int.from_bytes(data[:_HEAD], "big")
        if length > FRAME_BYTES:
            raise Gone("a frame without end")
        if len(data) < _HEAD + length:
            data = self._read_whole(data, _HEAD + length)
        self._rest = data[_HEAD + length :]
        try:
            frame = _decode(data[_HEAD : _HEAD + length].decode())
        except (ValueError, RecursionError) as error:
            raise Gone(f"no frame: {error}") from None
        if type(frame) is not list or not frame:
            raise Gone("no frame")
        return frame

    def _read_whole(self, begun: bytes, length: int) -> bytes:
        parts, missing = [begun], length - len(begun)
        while missing > 0:
            parts.append(self._read(max(_CHUNK, min(missing, 2**20))))
            missing -= len(parts[-1])
        return b"".join(parts)

    def _read(self, most: int) -> bytes:
        try:
            chunk = os.read(self._reading, most)
        except OSError as error:
            raise Gone(str(error)) from None
        if not chunk:
            raise Gone("it has ended")
        return chunk


class Channels:
    """The channels of a process: a thread keeps the one that it speaks on until its outermost request is answered.

    A thread that begins to speak takes a free one. Where `borrows` is set (the candidate's process, whose channels
    are each served by a thread of their own), it shares one that is serving a request: there the other side listens.
    """

    def __init__(self, channels: list[Channel], *, borrows: bool) -> None:
        self.all, self._borrows = channels, borrows
        self._free = list(reversed(channels))
        self._changed = threading.Condition()
        self._mine = threading.local()

    @contextmanager
    def mine(self) -> Iterator[Channel]:
        """The channel of this thread, locked."""
        channel: Channel | None = getattr(self._mine, "channel", None)
        if channel is not None:
            with channel.lock:
                yield channel
            return
        with self._borrowed() if self._borrows else self._taken() as channel:
            yield channel

    def begin(self, channel: Channel) -> Channel | None:
        """This thread answers a request that came on `channel`; the channel that it spoke on before."""
        before: Channel | None = getattr(self._mine, "channel", None)
        self._mine.channel = channel
        with self._changed:
            channel.serving += 1
            self._changed.notify_all()
        return before

    def end(self, channel: Channel, before: Channel | None, reply: list[Any]) -> None:
        """Sends the reply; from then on nobody may borrow the channel for this request. Raises `Gone`."""
        self._mine.channel = before
        with channel.lock:
            channel.serving -= 1
            channel.send(reply)

    @contextmanager
    def _taken(self) -> Iterator[Channel]:
        with self._changed:
            while not self._free:
                self._changed.wait()
            channel = self._free.pop()
        self._mine.channel = channel
        try:
            yield channel
        finally:
            self._mine.channel = None
            with self._changed:
                self._free.append(channel)
                self._changed.notify()

    @contextmanager
    def _borrowed(self) -> Iterator[Channel]:
        while True:
            with self._changed:
                while not (serving := [channel for channel in self.all if channel.serving]):
                    self._changed.wait()
            with serving[0].lock:
                if serving[0].serving:
                    yield serving[0]
                    return
