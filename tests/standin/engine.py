"""A stand-in for an engine: an OpenAI-compatible server in a process of its own that streams word by word, and can be
told to hang, to be ten times slower, to answer 500, to answer garbage, or to break off in the middle.

`python -m tests.standin.engine PORT MODULE:FUNCTION SECONDS` serves `FUNCTION(prompt, seed)`, a word each SECONDS;
`POST /fault` with a name of `Mood` changes how. Knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from enum import StrEnum

from tests.standin import serve

SLOWER = 10
WORDS_BEFORE_BREAKING = 3
# Long past every patience of a client: a hung server does not say that it hangs.
HANG_SECONDS = 3600.0


class Mood(StrEnum):
    """How it answers."""

    WELL = "well"
    HUNG = "hung"
    SLOW = "slow"
    REFUSING = "refusing"
    GARBAGE = "garbage"
    BREAKING = "breaking"


class _State:
    def __init__(self) -> None:
        self.mood = Mood.WELL
        self.changed = threading.Condition()

    def become(self, mood: Mood) -> None:
        with self.changed:
            self.mood = mood
            self.changed.notify_all()

    def hang(self) -> None:
        """As long as it is told to."""
        with self.changed:
            self.changed.wait_for(lambda: self.mood is not Mood.HUNG, HANG_SECONDS)


def _handler(answer: Callable[[str, int], str], seconds: float, state: _State) -> type[serve.Handler]:
    class Handler(serve.Handler):
        def do_GET(self) -> None:
            state.hang()
            self.send({"data": [{"id": "standin", "max_model_len": 16384}]})

        def do_POST(self) -> None:
            asked = self.asked()
            if self.path == "/fault":
                state.become(Mood(asked["mood"]))
                self.send({})
                return
            state.hang()
            prompt = "\n".join(str(message["content"]) for message in asked["messages"])
            if self.path.endswith("/tokenize"):
                self.send({"count": len(prompt) // 4})
            elif state.mood is Mood.REFUSING:
                self.send({"error": {"message": "out of memory"}}, 500)
            elif not asked.get("stream"):
                self.say("Hello there.")
            else:
                with contextlib.suppress(OSError):  # whoever asked has gone
                    self._stream(prompt, answer(prompt, int(asked.get("seed") or 0)))

        def _stream(self, prompt: str, said: str) -> None:
            self.begin()
            words = said.split(" ")
            for place, word in enumerate(words):
                time.sleep(seconds * (SLOWER if state.mood is Mood.SLOW else 1))
                state.hang()
                if state.mood is Mood.BREAKING and place >= WORDS_BEFORE_BREAKING:
                    return
                if state.mood is Mood.GARBAGE:
                    self.event("{]\x00" + word)
                self.word(f" {word}" if place else word)
            self.word(finish="stop")
            self.end(len(prompt) // 4, len(words))

    return Handler


def tell(port: int, mood: Mood) -> None:
    """Changes the mood of the engine on `port`."""
    body = json.dumps({"mood": mood}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/fault", data=body, timeout=10) as response:
        response.read()


def main() -> None:
    """Serves until it is killed."""
    port, named, seconds = sys.argv[1:]
    module, _, function = named.partition(":")
    answer = getattr(importlib.import_module(module), function)
    serve.Server(("127.0.0.1", int(port)), _handler(answer, float(seconds), _State())).serve_forever()


if __name__ == "__main__":
    main()
