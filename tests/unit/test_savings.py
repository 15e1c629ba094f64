"""What the bench says that the guard saves: against a tiny endpoint that loops, counts its tokens and streams."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

OPS = Path(__file__).parents[2] / "ops"
WORDS = 400


class Server(ThreadingHTTPServer):
    """Takes sixteen connections at once without refusing one."""

    request_queue_size = 64


class Engine:
    """Loops at temperature 0 where the prompt has an even length, and says a sentence otherwise. A word is a token."""

    def __init__(self) -> None:
        self.made = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(f'vllm:generation_tokens_total{{model_name="tiny"}} {outer.made}.0\n'.encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                loops = body["temperature"] == 0 and len(body["messages"][-1]["content"]) % 2 == 0
                words = ["so ", "it ", "goes ", "on. "] * (WORDS // 4) if loops else ["A ", "short ", "answer."]
                finish = "length" if loops else "stop"
                if body.get("stream"):
                    self._stream(words, finish)
                    return
                outer.made += len(words)
                choice = {"message": {"content": "".join(words)}, "finish_reason": finish}
                usage = {"completion_tokens": len(words)}
                self._answer(json.dumps({"choices": [choice], "usage": usage}).encode())

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _stream(self, words: list[str], finish: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                try:
                    for word in words:
                        outer.made += 1
                        self._send({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
                    self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    pass  # the guard hung up

            def _send(self, event: dict[str, Any]) -> None:
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def engine() -> Iterator[Engine]:
    running = Engine()
    yield running
    running.close()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("savings")


def test_a_loop_costs_less_with_the_guard_and_another_answer_as_much(bench: ModuleType, engine: Engine) -> None:
    heads, rows = bench.savings(engine.url, "tiny", 12, 500)
    assert all(len(row) == len(heads) for row in rows)
    looping, other, both, counted = (dict(zip(heads, row, strict=True)) for row in rows)
    loops = int(looping["prompts"])
    assert 0 < loops < 12
    assert loops + int(other["prompts"]) == int(both["prompts"]) == 12
    assert looping["tokens off"] == f"{loops * WORDS:,}"
    assert 0 < int(looping["all calls on"].replace(",", "")) < loops * WORDS / 2
    assert int(looping["calls on"]) == 2 * loops  # warmer, the engine answers
    assert (looping["sound off"], looping["sound on"]) == ("0", str(loops))
    assert other["tokens off"] == other["first call on"] == other["all calls on"]
    assert other["saved"] == "0%"
    assert counted["tokens off"] == both["tokens off"]
