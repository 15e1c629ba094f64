"""A server that answers as an OpenAI-compatible engine would, well or ill as a test says; and processes to end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.standin import serve
from workers.engine.hardware import Gpu, Hardware
from workers.engine.profiles import Profile, WeightsSource, load_profiles


class StubEngine:
    """`status` and `answer` are what a chat request gets; `models` is listed; `tokens` is what /metrics counts."""

    def __init__(self) -> None:
        self.root, self.healthy, self.status, self.answer = "", True, 200, "Hello there, how can I help?"
        self.models: list[dict[str, Any]] = [{"id": "tiny", "max_model_len": 4096}]
        self.tokens, self.tokens_per_look = 0.0, 0.0
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []

    def handler(self) -> type[serve.Handler]:
        """Of its server."""
        engine = self

        class Handler(serve.Handler):
            def do_GET(self) -> None:
                engine.keys.append(self.headers.get("Authorization", ""))
                if self.path == "/health":
                    self.send(b"", 200 if engine.healthy else 503)
                elif self.path == "/metrics":
                    engine.tokens += engine.tokens_per_look
                    made = f'vllm:generation_tokens_total{{m="x"}} {engine.tokens}\n'
                    self.send(('vllm:prompt_tokens_total{m="x"} 5.0\n' + made).encode())
                elif self.path == "/v1/models":
                    self.send({"data": engine.models}, 200 if engine.healthy else 503)
                else:
                    self.send({"error": "no such page"}, 404)

            def do_POST(self) -> None:
                engine.bodies.append(self.asked())
                self.send({"choices": [{"message": {"content": engine.answer}}]}, engine.status)

        return Handler


@pytest.fixture
def stub() -> Iterator[StubEngine]:
    """A running one."""
    engine = StubEngine()
    with serve.serving(engine.handler()) as engine.root:
        yield engine


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


@pytest.fixture
def gguf(tmp_path: Path) -> WeightsSource:
    """Weights of no use, with the hash that they are checked against."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF of a test")
    return WeightsSource(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
