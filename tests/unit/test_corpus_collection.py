"""`ops/corpus.py` against a tiny endpoint: what it asks, what it keeps, and that it goes on where it was."""

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

from tests.corpus.collected import collected, read
from tests.corpus.label import Label

OPS = Path(__file__).parents[2] / "ops"


class Server(ThreadingHTTPServer):
    """Takes sixteen connections at once without refusing one."""

    request_queue_size = 64


class Endpoint:
    """Loops at temperature 0, answers in few words otherwise, and notes every request."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                loops = body["temperature"] == 0
                said = "It is so. " * 200 if loops else f"An answer to {body['messages'][-1]['content']}"
                choice = {"message": {"content": said}, "finish_reason": "length" if loops else "stop"}
                answer = json.dumps({"choices": [choice]}).encode()
                self.send_response(200 if self.path == "/v1/chat/completions" else 404)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()
    yield running
    running.close()


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("corpus")


def test_loops_are_collected_with_what_was_asked_and_few_ordinary_answers(
    corpus: ModuleType, endpoint: Endpoint, tmp_path: Path
) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--folder", str(tmp_path)]
    corpus.main([*given, "--loops", "15", "--ordinary", "7"])
    rows = read(tmp_path / "report" / "tiny.jsonl.gz")
    labels = [label for label, _ in collected(tmp_path)]
    assert 15 <= labels.count(Label.LOOP) <= 24  # what was in flight comes too
    assert [row["label"] for row in rows] == labels
    assert labels.count(Label.ORDINARY) == 7
    assert set(rows[0]) >= {"model", "kind", "prompt", "system", "temperature", "seed", "text", "finish_reason"}
    settings = {(body["temperature"], body["messages"][0]["role"]) for body in endpoint.asked}
    assert settings == {(t, role) for t in (0.0, 0.8) for role in ("user", "system")}
    assert all("repetition_detection" not in body for body in endpoint.asked)


def test_a_further_run_goes_on_where_the_last_one_was(corpus: ModuleType, endpoint: Endpoint, tmp_path: Path) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--ordinary", "100", "--folder", str(tmp_path)]
    corpus.main([*given, "--loops", "20"])
    corpus.main([*given, "--loops", "40"])
    rows = read(tmp_path / "report" / "tiny.jsonl.gz")
    assert len(rows) == len(endpoint.asked) >= 80
    assert len({(r["prompt"], r["system"], r["temperature"]) for r in rows}) == len(rows)


def test_too_few_loops_are_said_and_kept(corpus: ModuleType, endpoint: Endpoint, tmp_path: Path) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--folder", str(tmp_path)]
    with pytest.raises(SystemExit, match="only 20 loops"):
        corpus.main([*given, "--loops", "50", "--requests", "40"])
    assert len(read(tmp_path / "report" / "tiny.jsonl.gz")) == 40


def test_no_prompt_is_in_both_halves(corpus: ModuleType, endpoint: Endpoint, tmp_path: Path) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--folder", str(tmp_path), "--loops", "20"]
    corpus.main([*given, "--half", "tune"])
    corpus.main([*given, "--half", "report"])
    halves = {sample.half: set[str]() for _, sample in collected(tmp_path)}
    for half, prompts in halves.items():
        prompts |= {row["prompt"] for row in read(tmp_path / half / "tiny.jsonl.gz")}
    assert halves.keys() == {"tune", "report"}
    assert not halves["tune"] & halves["report"]
