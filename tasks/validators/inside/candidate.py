"""The candidate's process: runs `solution.py` and does what the tests' process asks, until that is gone.

Nothing of the tests is here, and nothing that decides: whatever the solution does to this process, the other one sees
only values. Must not know pytest.
"""

from __future__ import annotations

import builtins
import io
import linecache
import os
import sys
import threading
import types
from contextlib import suppress
from typing import Any

from .channels import Channel, Channels, Gone
from .peer import Peer

SOLUTION = "solution.py"
WRITTEN_CHARS = 1_000_000  # of what is printed, on either stream


class Host:
    """Serves the requests. One with no target is to this class: `compile`, `load`, `chdir`."""

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        self._channels = [Channel(reading, writing) for reading, writing in pairs]
        self._threads = Channels(self._channels, borrows=True)
        self._peer = Peer(self._threads, strict=False, permit=lambda *_: None, file=SOLUTION)
        self._own = {"compile": self._compile, "load": self._load, "chdir": _change_folder}

    def serve(self) -> None:
        """Until the tests' process is gone."""
        for channel in self._channels[1:]:
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()
        self._serve(self._channels[0])

    def _serve(self, channel: Channel) -> None:
        self._threads.bind(channel)
        try:
            while True:
                frame = channel.receive()
                if frame[1] is None:
                    frame[1] = ["yours", self._peer.objects.number(self._own[frame[2]])]
                self._peer.answer(channel, frame)
        except Gone:
            os._exit(0)

    def _compile(self) -> dict[str, Any] | None:
        try:
            self._code()
        except SyntaxError as error:
            text = (error.text or "").strip()[:120]
            return {"type": type(error).__name__, "message": str(error.msg), "line": error.lineno or 0, "text": text}
        except (ValueError, MemoryError, RecursionError) as error:
            return {"type": type(error).__name__, "message": str(error), "line": 0, "text": ""}
        return None

    def _load(self, readline: Any, read: Any, ask: Any) -> tuple[types.ModuleType, list[str]]:
        """The module and its public names. The arguments read the tests' standard input."""
        sys.stdout, sys.stderr = _Written(self._peer, "out"), _Written(self._peer, "err")
        sys.stdin, builtins.input = _Read(readline, read), ask
        self._catch_warnings()
        module = types.ModuleType("solution")
        module.__file__ = SOLUTION
        sys.modules["solution"] = module
        linecache.getlines(SOLUTION)  # kept: the folder may change
        exec(self._code(), vars(module))  # noqa: S102 - in the sandbox, where model-written code belongs
        public = [name for name in vars(module) if not name.startswith("_")]
        return module, [name for name in getattr(module, "__all__", public) if isinstance(name, str)]

    def _code(self) -> types.CodeType:
        with open(SOLUTION, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than the rest of this
            return compile(file.read(), SOLUTION, "exec", dont_inherit=True)

    def _catch_warnings(self) -> None:
        import warnings

        def warn(message: Any, category: Any, *_: Any, **__: Any) -> None:
            self._peer.written.append(["warning", category.__name__, str(message)])

        warnings.showwarning = warn
        warnings.simplefilter("always")


def _change_folder(path: str) -> None:
    with suppress(OSError):  # a folder of the tests' process alone
        os.chdir(path)


class _Written(io.TextIOBase):
    """What is printed goes along with the next frame; too much of it to the sandbox's own output, which has a limit."""

    def __init__(self, peer: Peer, kind: str) -> None:
        self._written, self._kind = peer.written, kind
        self._left = WRITTEN_CHARS

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        shown, rest = text[: self._left], text[self._left :]
        self._left -= len(shown)
        if shown:
            self._written.append([self._kind, shown])
        if rest:
            sys.__stdout__.write(rest)  # type: ignore[union-attr]
        return len(text)


class _Read(io.TextIOBase):
    """The tests' standard input, as it is when it is read."""

    def __init__(self, readline: Any, read: Any) -> None:
        self._readline, self._read = readline, read

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        return str(self._readline())

    def read(self, size: int | None = -1, /) -> str:
        return str(self._read())


def pairs_of(numbers: list[int]) -> list[tuple[int, int]]:
    """Descriptors as pairs of one to read from and one to write to."""
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def main() -> None:
    """Descriptors are the arguments."""
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as above; where the solution's other files are
    Host(pairs_of([int(one) for one in sys.argv[1:]])).serve()
