"""The keys that a person presses while a view is shown, read without waiting for a line. The terminal is given back as
it was found, however the block ends."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from enum import StrEnum
from typing import TextIO


class Key(StrEnum):
    """What a view understands."""

    UP = "up"
    DOWN = "down"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"
    END = "end"
    QUIT = "quit"


_KEYS = {
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"k": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1bOB": Key.DOWN,
    b"j": Key.DOWN,
    b"\x1b[5~": Key.PAGE_UP,
    b"b": Key.PAGE_UP,
    b"\x1b[6~": Key.PAGE_DOWN,
    b" ": Key.PAGE_DOWN,
    b"\x1b[H": Key.HOME,
    b"\x1b[1~": Key.HOME,
    b"g": Key.HOME,
    b"\x1b[F": Key.END,
    b"\x1b[4~": Key.END,
    b"G": Key.END,
    b"q": Key.QUIT,
}
_READ_BYTES = 64


class Keys:
    """Parameters: the `descriptor` of a terminal; None where there is none, and no key comes."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @property
    def readable(self) -> bool:
        """Whether keys can come."""
        return self._descriptor is not None

    def wait(self, seconds: float) -> tuple[Key, ...]:
        """The keys that are pressed within `seconds`: it returns at the first."""
        if self._descriptor is None:
            time.sleep(seconds)
            return ()
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return ()
        pressed = os.read(self._descriptor, _READ_BYTES)
        if not pressed:  # the terminal has gone
            self._descriptor = None
        return tuple(parse(pressed))


def parse(pressed: bytes) -> Iterator[Key]:
    """The keys in what a terminal sent; what is none of them is passed over."""
    while pressed:
        code = next((code for code in sorted(_KEYS, key=len, reverse=True) if pressed.startswith(code)), None)
        if code is not None:
            yield _KEYS[code]
        pressed = pressed[len(code) if code else 1 :]


@contextlib.contextmanager
def pressed_on(stream: TextIO | None = None) -> Iterator[Keys]:
    """The keys of `stream` (standard input), where it is a terminal and this process is in its foreground."""
    stream = stream or sys.stdin
    try:
        descriptor = stream.fileno()
        foreground = os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except (OSError, ValueError):
        foreground = False
    if not foreground:
        yield Keys(None)
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSANOW)  # Ctrl-C stays an interrupt
        yield Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
