"""A tiny server of server-sent events on loopback, and a pulse that counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tasks.llm.chat import OpenAIChatModel

KEY = "sk-very-secret"


class CountingPulse:
    """Counts tokens; raises `stop` from `check` once `stop_when` says so."""

    def __init__(self, stop: Exception | None = None, stop_when: Callable[[], bool] = lambda: True) -> None:
        self.tokens, self.silences = 0, list[float]()
        self._stop, self._stop_when = stop, stop_when

    def beat(self, tokens: int = 0) -> None:
        self.tokens += tokens

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
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/tokenize":
                    outer.tokenized.append(body)
                    status, answer = outer.tokenize()
                    reply(self, status, answer)
                    return
                outer.bodies.append(body)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                outer.begun.set()
                try:
                    outer.script(self)
                except OSError:
                    outer.hung_up.set()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for_hang_up(self, handler: Any) -> None:
        """Blocks until the client closes its side, as an engine notices it."""
        handler.connection.settimeout(20)
        if handler.connection.recv(1) == b"":
            self.hung_up.set()


def reply(handler: Any, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def begin(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()


def send(handler: Any, event: dict[str, Any] | str) -> None:
    data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
    handler.wfile.write(f"data: {data}\n\n".encode())
    handler.wfile.flush()


def delta(text: str = "", finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text, **fields}, "finish_reason": finish}]}


@pytest.fixture
def server() -> Iterator[SseServer]:
    running = SseServer()
    yield running
    running.close()


@pytest.fixture
def chat(server: SseServer) -> Callable[..., OpenAIChatModel]:
    def make(**changed: Any) -> OpenAIChatModel:
        given: dict[str, Any] = {
            "base_url": server.url,
            "model": "tiny",
            "api_key": KEY,
            "context_tokens": 4096,
            "first_token_seconds": 20.0,
            "token_silence_seconds": 20.0,
            "extra": {},
            "engine": "test server",
        }
        return OpenAIChatModel(**{**given, **changed})

    return make
