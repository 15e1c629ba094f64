"""A server that answers as an OpenAI-compatible engine would, well or ill as a test says; and processes to end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from workers.engine.hardware import Gpu, Hardware
from workers.engine.profiles import Profile, load_profiles


class StubEngine:
    """`status` and `answer` are what a chat request gets; `models` is listed; `tokens` is what /metrics counts."""

    def __init__(self) -> None:
        self.healthy, self.status, self.answer = True, 200, "Hello there, how can I help?"
        self.models: list[dict[str, Any]] = [{"id": "tiny", "max_model_len": 4096}]
        self.tokens, self.tokens_per_look = 0.0, 0.0
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.keys.append(self.headers.get("Authorization", ""))
                if self.path == "/health":
                    self.reply(200 if outer.healthy else 503, b"")
                elif self.path == "/metrics":
                    outer.tokens += outer.tokens_per_look
                    lines = (
                        f'vllm:prompt_tokens_total{{m="x"}} 5.0\nvllm:generation_tokens_total{{m="x"}} {outer.tokens}\n'
                    )
                    self.reply(200, lines.encode())
                elif self.path == "/v1/models":
                    self.reply(200 if outer.healthy else 503, json.dumps({"data": outer.models}).encode())
                else:
                    self.reply(404, b'{"error": "no such page"}')

            def do_POST(self) -> None:
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = {"choices": [{"message": {"content": outer.answer}}]}
                self.reply(outer.status, json.dumps(answer).encode())

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def stub() -> Iterator[StubEngine]:
    """A running one."""
    engine = StubEngine()
    thread = threading.Thread(target=engine.server.serve_forever, args=(0.05,))
    thread.start()
    yield engine
    engine.server.shutdown()
    engine.server.server_close()
    thread.join()


@pytest.fixture
def profiles(tmp_path: Path) -> dict[str, Profile]:
    """The packaged ones."""
    return load_profiles(tmp_path / "no-home")


@pytest.fixture
def cards() -> Callable[..., Hardware]:
    """A machine with cards of so many GiB, all of one compute capability."""

    def make(*sizes: float, capability: float = 9.0, ram_gib: float = 64.0) -> Hardware:
        gpus = (
            Gpu(index=index, name="made up", memory_gib=size, compute_capability=capability)
            for index, size in enumerate(sizes)
        )
        return Hardware(gpus=tuple(gpus), ram_gib=ram_gib)

    return make
