"""Frames of JSON over pairs of pipes, and which pair a thread speaks on. Must not know what a frame says."""

from __future__ import annotations

import json
import os
import select
import threading
from contextlib import suppress
from typing import Any

FRAME_BYTES = 256 * 2**20
_CHUNK = 65536
_HEAD = 4
# An answer is mostly there within microseconds; to sleep and be woken on another core takes longer than a call.
_LOOKS = 40
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


class Gone(BaseException):
    """The process at the other end has ended, or says what nobody understands. No `Exception`: a test that expects
    one must not take the end of the solution for it."""


class Channel:
    """One pair of pipes. Both ends take turns: a frame is sent, then one is received. `described` is for the peer."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        os.set_blocking(reading, False)
        self._poll = select.poll()
        self._poll.register(reading, select.POLLIN)
        self._rest = b""
        self.described: set[int] = set()
        self.lock = threading.RLock()
        self.serving = 0  # how many requests of the other side are being answered
        self.lent = 0  # how many requests deep is a thread that has this channel for their time alone

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
        body = data[_HEAD : _HEAD + length]
        try:
            frame, end = _scan(body.decode(), 0)
        except (ValueError, RecursionError, StopIteration) as error:
            raise Gone(f"no frame: {error}") from None
        if type(frame) is not list or not frame or end != length:
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
            chunk = self._soon(most)
        except OSError as error:
            raise Gone(str(error)) from None
        if not chunk:
            raise Gone("it has ended")
        return chunk

    def _soon(self, most: int) -> bytes:
        for _ in range(_LOOKS):
            try:
                return os.read(self._reading, most)
            except BlockingIOError:
                os.sched_yield()
        while True:
            self._poll.poll()
            with suppress(BlockingIOError):
                return os.read(self._reading, most)


class Channels:
    """The channels of a process, and which one a thread speaks on.

    The first is the creating thread's. Another thread takes a free one for as long as its request lasts; where
    `borrows` is set (the candidate's process, whose channels are each served by a thread of their own), it shares one
    that is serving a request, for only there the other side listens.
    """

    def __init__(self, channels: list[Channel], *, borrows: bool) -> None:
        self.all, self._borrows = channels, borrows
        self._free = channels[1:]
        self._changed = threading.Condition()
        self._waiting = 0
        self._mine = threading.local()
        self.bind(channels[0])

    def bind(self, channel: Channel) -> None:
        """From now on this thread speaks on `channel`."""
        self._mine.channel = channel

    def take(self) -> Channel:
        """The channel of this thread, locked; `give` it back."""
        channel: Channel | None = getattr(self._mine, "channel", None)
        if channel is None:
            return self._borrowed() if self._borrows else self._lent()
        channel.lock.acquire()
        channel.lent += channel.lent > 0
        return channel

    def give(self, channel: Channel) -> None:
        """The request is answered."""
        lent, channel.lent = channel.lent, max(0, channel.lent - 1)
        channel.lock.release()
        if lent == 1:
            self._mine.channel = None
            with self._changed:
                self._free.append(channel)
                self._changed.notify()

    def begin(self, channel: Channel) -> None:
        """A request that came on `channel` is being answered."""
        channel.serving += 1
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def end(self, channel: Channel, reply: list[Any]) -> None:
        """Sends the reply; from then on nobody may borrow the channel for this request. Raises `Gone`."""
        with channel.lock:
            channel.serving -= 1
            channel.send(reply)

    def _lent(self) -> Channel:
        with self._changed:
            while not self._free:
                self._changed.wait()
            channel = self._free.pop(0)
        channel.lock.acquire()
        channel.lent = 1
        self.bind(channel)
        return channel

    def _borrowed(self) -> Channel:
        while True:
            channel = self._serving()
            channel.lock.acquire()
            if channel.serving:
                return channel
            channel.lock.release()

    def _serving(self) -> Channel:
        with self._changed:
            self._waiting += 1
            try:
                while not (serving := [channel for channel in self.all if channel.serving]):
                    self._changed.wait()
                return serving[0]
            finally:
                self._waiting -= 1
