"""Keys on a real terminal, which is given back as it was found."""

from __future__ import annotations

import os
import pty
import termios

import pytest

from workers.cli.keys import Key, Keys, parse, pressed_on


@pytest.mark.parametrize(
    ("pressed", "keys"),
    [
        (b"\x1b[A\x1b[B", [Key.UP, Key.DOWN]),
        (b"\x1b[5~ j", [Key.PAGE_UP, Key.PAGE_DOWN, Key.DOWN]),
        (b"gGq", [Key.HOME, Key.END, Key.QUIT]),
        (b"\x1b[1;5Zx?\xff", []),
        (b"", []),
    ],
)
def test_what_a_terminal_sends_are_keys(pressed: bytes, keys: list[Key]) -> None:
    assert list(parse(pressed)) == keys


def test_keys_come_at_once_and_none_where_nothing_is_pressed() -> None:
    leader, follower = pty.openpty()
    try:
        keys = Keys(leader)
        assert keys.wait(0.0) == ()
        os.write(follower, b"q")
        assert keys.wait(5.0) == (Key.QUIT,)
    finally:
        os.close(leader)
        os.close(follower)


def test_a_terminal_of_somebody_else_s_foreground_is_left_alone() -> None:
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    with os.fdopen(follower) as stream, pressed_on(stream) as keys:
        assert not keys.readable
        assert termios.tcgetattr(follower) == before
    os.close(leader)
