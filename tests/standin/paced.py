"""An OpenAI-compatible engine on loopback that streams word by word at a pace, and notices who hangs up on it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.standin import serve
from workers.engine.stream_probe import QUESTION

# What it says to a prompt: None is an answer that never ends.
Says = Callable[[str], str | None]
PAUSE_SECONDS = 0.02
# So few are asked for when a worker finds out what its endpoint can, and this question is asked: no work, not counted.
PROBE_TOKENS = 16


@dataclass(slots=True)
class Engine:
    """What was asked of it: every request is under way, whole, or aborted by its client."""

    url: str = ""
    begun: int = 0
    whole: int = 0
    aborted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def under_way(self) -> int:
        """Streams that nobody has ended yet."""
        return self.begun - self.whole - self.aborted


@contextlib.contextmanager
def streaming(says: Says, *, pause_seconds: float = PAUSE_SECONDS) -> Iterator[Engine]:
    """Serves while it is open."""
    engine, over = Engine(), threading.Event()

    class Handler(serve.Handler):
        def do_GET(self) -> None:
            self.send({"data": [{"id": "paced", "max_model_len": 8192}]})

        def do_POST(self) -> None:
            asked = self.asked()
            if self.path.endswith("/tokenize"):
                self.send({"count": len(str(asked["messages"])) // 4})
            elif not asked.get("stream"):
                self.say("Hello there.")
            elif asked["max_tokens"] <= PROBE_TOKENS or asked["messages"][-1]["content"] == QUESTION:
                self._stream("Hello there.\n")
            else:
                with engine.lock:
                    engine.begun += 1
                whole = self._stream(says(asked["messages"][-1]["content"]))
                with engine.lock:
                    engine.whole += whole
                    engine.aborted += not whole

        def _stream(self, text: str | None) -> bool:
            self.begin()
            words = 0
            try:
                for word in endless() if text is None else text.splitlines(keepends=True):
                    self.word(word)
                    words += 1
                    time.sleep(pause_seconds)
                    if over.is_set():
                        return False
                self.word(finish="stop")
                self.end(50, words)
            except OSError:
                return False
            return True

    with serve.serving(Handler) as root:
        engine.url = f"{root}/v1"
        try:
            yield engine
        finally:
            over.set()


def endless() -> Iterator[str]:
    """Lines without a loop in them, for as long as they are read."""
    state = 1
    while True:
        state = state * 48271 % 2147483647
        yield "".join(chr(97 + state // 7**n % 26) for n in range(8)) + "\n"
