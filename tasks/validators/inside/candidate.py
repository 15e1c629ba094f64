"""The candidate's process: runs `solution.py` and serves the requests of the tests' process until that ends.

Nothing of the tests is in this process, and nothing decides here: whatever the solution does to it, the tests' process
sees only values. Must not know pytest.
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

from .channels import Channel, Channels, ConnectionLost
from .peer import Peer

SOLUTION = "solution.py"
OUTPUT_CHARS = 1_000_000  # printed on each stream


class Host:
    """Serves the requests. A request without a target calls a function of this class: `compile`, `load`, `chdir`."""

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        self._channels = [Channel(reading, writing) for reading, writing in pairs]
        self._channels_by_thread = Channels(self._channels, share_serving=True)
        self._peer = Peer(self._channels_by_thread, strict=False, permit=lambda *_: None, file=SOLUTION)
        self._functions = {"compile": self._compile, "load": self._load, "chdir": _change_folder}

    def serve(self) -> None:
        """Serves until the tests' process ends."""
        for channel in self._channels[1:]:
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()
        self._serve(self._channels[0])

    def _serve(self, channel: Channel) -> None:
        self._channels_by_thread.bind(channel)
        try:
            while True:
                frame = channel.receive()
                if frame[1] is None:
                    frame[1] = ["yours", self._peer.objects.number(self._functions[frame[2]])]
                self._peer.answer(channel, frame)
        except ConnectionLost:
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

    def _load(self, name: str, readline: Any, read: Any, ask: Any) -> tuple[types.ModuleType, list[str]]:
        """Runs a module of the solution; returns it and its public names. The other arguments read the tests' standard
        input."""
        if not isinstance(sys.stdout, _OutputStream):
            self._replace_streams(readline, read, ask)
        module = self._solution() if name == "solution" else _imported(name)
        public = [one for one in vars(module) if not one.startswith("_")]
        return module, [one for one in getattr(module, "__all__", public) if isinstance(one, str)]

    def _replace_streams(self, readline: Any, read: Any, ask: Any) -> None:
        sys.stdout, sys.stderr = _OutputStream(self._peer, "out"), _OutputStream(self._peer, "err")
        sys.stdin, builtins.input = _InputStream(readline, read), ask
        self._catch_warnings()

    def _solution(self) -> types.ModuleType:
        if "solution" in sys.modules:  # another module of the solution has imported it
            return sys.modules["solution"]
        module = types.ModuleType("solution")
        module.__file__ = SOLUTION
        sys.modules["solution"] = module
        linecache.getlines(SOLUTION)  # cached, since the working folder may change
        exec(self._code(), vars(module))  # noqa: S102 - in the sandbox, where model-written code belongs
        return module

    def _code(self) -> types.CodeType:
        with open(SOLUTION, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than the rest of this
            return compile(file.read(), SOLUTION, "exec", dont_inherit=True)

    def _catch_warnings(self) -> None:
        import warnings

        def warn(message: Any, category: Any, *_: Any, **__: Any) -> None:
            self._peer.output.append(["warning", category.__name__, str(message)])

        warnings.showwarning = warn
        warnings.simplefilter("always")


def _imported(name: str) -> types.ModuleType:
    import importlib

    return importlib.import_module(name)


def _change_folder(path: str) -> None:
    with suppress(OSError):  # only the tests' process can see the folder
        os.chdir(path)


class _OutputStream(io.TextIOBase):
    """Sends printed text with the next frame. Excess text goes to the sandbox's own output, which has a limit."""

    def __init__(self, peer: Peer, kind: str) -> None:
        self._output, self._kind = peer.output, kind
        self._remaining = OUTPUT_CHARS

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        part, excess = text[: self._remaining], text[self._remaining :]
        self._remaining -= len(part)
        if part:
            self._output.append([self._kind, part])
        if excess:
            sys.__stdout__.write(excess)  # type: ignore[union-attr]
        return len(text)


class _InputStream(io.TextIOBase):
    """The tests' standard input, read through the other process."""

    def __init__(self, readline: Any, read: Any) -> None:
        self._readline, self._read = readline, read

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        return str(self._readline())

    def read(self, size: int | None = -1, /) -> str:
        return str(self._read())


def pairs_of(numbers: list[int]) -> list[tuple[int, int]]:
    """Pairs of descriptors: one to read from, one to write to."""
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def main() -> None:
    """Serves on the descriptors in the arguments."""
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as above; where the solution's other files are
    Host(pairs_of([int(argument) for argument in sys.argv[1:]])).serve()
