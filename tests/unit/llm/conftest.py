"""A tiny server of server-sent events on loopback, and a heartbeat that counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasks.llm.chat import OpenAIChatModel
from tests.standin import serve

KEY = "sk-very-secret"


class CountingHeartbeat:
    """Counts tokens; raises `stop` from `check` once `stop_when` says so."""

    def __init__(self, stop: Exception | None = None, stop_when: Callable[[], bool] = lambda: True) -> None:
        self.tokens, self.silences = 0, list[float]()
        self.text, self.thoughts = "", ""
        self._stop, self._stop_when = stop, stop_when

    def beat(self, tokens: int = 0) -> None:
        self.tokens += tokens

    def wrote(self, text: str, thoughts: str, *, anew: bool = False) -> None:
        self.text = text if anew else self.text + text
        self.thoughts += thoughts

    def expect_silence(self, seconds: float) -> None:
        self.silences.append(seconds)

    def check(self) -> None:
        if self._stop is not None and self._stop_when():
            raise self._stop


class SseServer:
    """Answers a chat request by `script(handler)`; notes bodies, and whether the client hung up."""

    def __init__(self) -> None:
        self.script: Callable[[Any], None] = lambda handler: None
        self.tokenize: Callable[[], tuple[int, bytes]] = lambda: (404, b"{}")
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.tokenized: list[dict[str, Any]] = []
        self.begun, self.hung_up, self.over = threading.Event(), threading.Event(), threading.Event()
        self.url = ""

    def handler(self) -> type[serve.Handler]:
        """Of its server."""
        outer = self

        class Handler(serve.Handler):
            def do_POST(self) -> None:
                body = self.asked()
                if self.path == "/tokenize":
                    outer.tokenized.append(body)
                    status, answer = outer.tokenize()
                    self.send(answer, status)
                    return
                outer.bodies.append(body)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                outer.begun.set()
                try:
                    outer.script(self)
                except OSError:
                    outer.hung_up.set()

        return Handler

    def wait_for_hang_up(self, handler: Any) -> None:
        """Blocks until the client closes its side, as an engine notices it."""
        handler.connection.settimeout(20)
        if handler.connection.recv(1) == b"":
            self.hung_up.set()


@pytest.fixture
def server() -> Iterator[SseServer]:
    running = SseServer()
    with serve.serving(running.handler()) as root:
        running.url = f"{root}/v1"
        yield running
        running.over.set()


@pytest.fixture
def chat(server: SseServer) -> Callable[..., OpenAIChatModel]:
    def make(**changed: Any) -> OpenAIChatModel:
        arguments: dict[str, Any] = {
            "base_url": server.url,
            "model": "tiny",
            "api_key": KEY,
            "context_tokens": 4096,
            "first_token_seconds": 20.0,
            "token_silence_seconds": 20.0,
            "extra": {},
            "engine": "test server",
        }
        return OpenAIChatModel(**{**arguments, **changed})

    return make
