"""A server on loopback between a peer and an engine: it counts completion tokens, cuts off at a budget, and evaluates
candidates by the job's own check in the sandbox. Knows nothing of who is compared with whom.

Each contest has a path of its own: `/NAME/v1/…` goes to the engine, `/NAME/evaluate` takes a candidate's text.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from tasks.types import Verdict

Evaluate = Callable[[str], Verdict]
# How near a value is to the best known, in (0, 1).
Share = Callable[[float], float]


@dataclass(kw_only=True)
class Answer:
    """One answer of the engine: its completion tokens, and what the check said of the candidate that was made of it;
    None where none was."""

    tokens: int
    verdict: Verdict | None = None


@dataclass(kw_only=True)
class Contest:
    """One run of a peer that sends one request after the other, at a `budget` of completion tokens. `spent` is set when
    it sends one more than the budget pays for."""

    budget: int
    evaluate: Evaluate
    share: Share
    answers: list[Answer] = field(default_factory=list)
    start: Verdict | None = None
    spent: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def used(self) -> int:
        """Completion tokens so far."""
        return sum(answer.tokens for answer in self.answers)

    def took(self, verdict: Verdict) -> None:
        """A candidate was evaluated: the peer's start, or what it made of the last answer."""
        if self.answers:
            self.answers[-1].verdict = verdict
        else:
            self.start = verdict

    def plain(self, verdict: Verdict) -> dict[str, Any]:
        """What the peer's evaluator is told."""
        share = None if verdict.value is None else self.share(verdict.value)
        return {"value": verdict.value, "share": share, "feedback": verdict.feedback}


class CountingServer:
    """Serves the contests that it is told of. `engine` returns the engine's URL, which ends in /v1: another one once it
    was started again, and an empty one until then."""

    def __init__(self, engine: Callable[[], str]) -> None:
        self._engine, self._contests = engine, dict[str, Contest]()
        self._client = httpx2.Client(timeout=None, trust_env=False)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def open(self, name: str, contest: Contest) -> str:
        """The address of a contest, which its paths begin with."""
        self._contests[name] = contest
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def serve(self) -> None:
        """Until `close`."""
        self._server.serve_forever()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._client.close()

    def complete(self, contest: Contest, path: str, request: dict[str, Any]) -> tuple[int, bytes]:
        """The engine's status and answer, of at most as many tokens as are left; 402 where none are, and 503 while the
        engine is away."""
        with contest.lock:
            left = contest.budget - contest.used
            if left <= 0:
                contest.spent.set()
                return HTTPStatus.PAYMENT_REQUIRED, b'{"error": {"message": "the budget is spent"}}'
            asked = {**request, "max_tokens": min(left, request.get("max_tokens") or left)}
            try:
                answer = self._client.post(self._engine().removesuffix("/v1") + path, json=asked)
            except httpx2.TransportError as error:
                return HTTPStatus.SERVICE_UNAVAILABLE, json.dumps({"error": {"message": str(error)}}).encode()
            if answer.is_success:
                contest.answers.append(Answer(tokens=answer.json()["usage"]["completion_tokens"]))
            return answer.status_code, answer.content

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name, _, rest = self.path.lstrip("/").partition("/")
                contest = server._contests[name]
                if rest == "evaluate":
                    verdict = contest.evaluate(body["candidate"])
                    contest.took(verdict)
                    self._reply(HTTPStatus.OK, json.dumps(contest.plain(verdict)).encode())
                else:
                    self._reply(*server.complete(contest, f"/{rest}", body))

            def _reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        return Handler


@contextmanager
def counting(engine: Callable[[], str]) -> Iterator[CountingServer]:
    """A server in a thread of its own."""
    server = CountingServer(engine)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
