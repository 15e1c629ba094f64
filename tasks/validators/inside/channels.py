"""JSON frames over pairs of pipes, and which pair a thread uses. Must not know what a frame means."""

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
# A reply mostly arrives within microseconds; sleeping and waking up on another core would take longer than a call.
_SPINS = 40
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


class ConnectionLost(BaseException):
    """The process at the other end has ended, or violates the protocol. It is no `Exception`, so that a test that
    expects one does not mistake the end of the solution for it."""


class Channel:
    """One pair of pipes. Both ends take turns: a frame is sent, then one is received. The peer notes in
    `described_classes` the classes that the other side knows."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        os.set_blocking(reading, False)
        self._poll = select.poll()
        self._poll.register(reading, select.POLLIN)
        self._buffer = b""
        self.described_classes: set[int] = set()
        self.lock = threading.RLock()
        self.serving = 0  # the number of requests of the other side that are being answered
        # The nesting depth of the requests of a thread that owns this channel only while they last.
        self.exclusive_depth = 0

    def send(self, frame: list[Any]) -> None:
        """Writes one frame. Raises `ConnectionLost`."""
        body = _encode(frame).encode()
        data = len(body).to_bytes(_HEAD, "big") + body
        try:
            while data:
                data = data[os.write(self._writing, data) :]
        except OSError as error:
            raise ConnectionLost(str(error)) from None

    def receive(self) -> list[Any]:
        """Reads one frame. Raises `ConnectionLost`."""
        data = self._buffer
        while len(data) < _HEAD:
            data += self._read(_CHUNK)
        length = int.from_bytes(data[:_HEAD], "big")
        if length > FRAME_BYTES:
            raise ConnectionLost("a frame is too long")
        if len(data) < _HEAD + length:
            data = self._read_whole(data, _HEAD + length)
        self._buffer = data[_HEAD + length :]
        body = data[_HEAD : _HEAD + length]
        try:
            frame, end = _scan(body.decode(), 0)
        except (ValueError, RecursionError, StopIteration) as error:
            raise ConnectionLost(f"no frame: {error}") from None
        if type(frame) is not list or not frame or end != length:
            raise ConnectionLost("no frame")
        return frame

    def _read_whole(self, start: bytes, length: int) -> bytes:
        parts, missing = [start], length - len(start)
        while missing > 0:
            parts.append(self._read(max(_CHUNK, min(missing, 2**20))))
            missing -= len(parts[-1])
        return b"".join(parts)

    def _read(self, limit: int) -> bytes:
        try:
            chunk = self._read_available(limit)
        except OSError as error:
            raise ConnectionLost(str(error)) from None
        if not chunk:
            raise ConnectionLost("it has ended")
        return chunk

    def _read_available(self, limit: int) -> bytes:
        for _ in range(_SPINS):
            try:
                return os.read(self._reading, limit)
            except BlockingIOError:
                os.sched_yield()
        while True:
            self._poll.poll()
            with suppress(BlockingIOError):
                return os.read(self._reading, limit)


class Channels:
    """The channels of a process, and which one a thread uses.

    The creating thread uses the first. Any other thread acquires a free one for the time of its request. With
    `share_serving` (in the candidate's process, where a thread of its own serves each channel), it shares a channel
    that is serving a request, since the other side listens only there.
    """

    def __init__(self, channels: list[Channel], *, share_serving: bool) -> None:
        self.all, self._share_serving = channels, share_serving
        self._free = channels[1:]
        self._changed = threading.Condition()
        self._waiting = 0
        self._local = threading.local()
        self.bind(channels[0])

    def bind(self, channel: Channel) -> None:
        """Makes this thread use `channel` from now on."""
        self._local.channel = channel

    def acquire(self) -> Channel:
        """Locks and returns the channel of this thread; `release` must follow."""
        channel: Channel | None = getattr(self._local, "channel", None)
        if channel is None:
            return self._acquire_serving() if self._share_serving else self._acquire_free()
        channel.lock.acquire()
        channel.exclusive_depth += channel.exclusive_depth > 0
        return channel

    def release(self, channel: Channel) -> None:
        """Unlocks the channel once the request is answered."""
        depth, channel.exclusive_depth = channel.exclusive_depth, max(0, channel.exclusive_depth - 1)
        channel.lock.release()
        if depth == 1:
            self._local.channel = None
            with self._changed:
                self._free.append(channel)
                self._changed.notify()

    def begin(self, channel: Channel) -> None:
        """Notes that a request from `channel` is being answered."""
        channel.serving += 1
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def end(self, channel: Channel, reply: list[Any]) -> None:
        """Sends the reply; afterwards no thread may share the channel for this request. Raises `ConnectionLost`."""
        with channel.lock:
            channel.serving -= 1
            channel.send(reply)

    def _acquire_free(self) -> Channel:
        with self._changed:
            while not self._free:
                self._changed.wait()
            channel = self._free.pop(0)
        channel.lock.acquire()
        channel.exclusive_depth = 1
        self.bind(channel)
        return channel

    def _acquire_serving(self) -> Channel:
        while True:
            channel = self._wait_for_serving()
            channel.lock.acquire()
            if channel.serving:
                return channel
            channel.lock.release()

    def _wait_for_serving(self) -> Channel:
        with self._changed:
            self._waiting += 1
            try:
                while not (serving := [channel for channel in self.all if channel.serving]):
                    self._changed.wait()
                return serving[0]
            finally:
                self._waiting -= 1
