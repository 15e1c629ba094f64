"""An OpenAI-compatible engine on loopback that streams word by word at a pace, and notices who hangs up on it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What it says to a prompt: None is an answer that never ends.
Says = Callable[[str], str | None]
PAUSE_SECONDS = 0.02
# So few are asked for when a worker finds out what its endpoint can: no work, and not counted.
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

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def _send(self, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._send({"data": [{"id": "paced", "max_model_len": 8192}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/tokenize"):
                self._send({"count": len(str(asked["messages"])) // 4})
            elif not asked.get("stream"):
                self._send({"choices": [{"message": {"role": "assistant", "content": "Hello there."}}]})
            elif asked["max_tokens"] <= PROBE_TOKENS:
                self._stream("Hello there.\n")
            else:
                with engine.lock:
                    engine.begun += 1
                whole = self._stream(says(asked["messages"][-1]["content"]))
                with engine.lock:
                    engine.whole += whole
                    engine.aborted += not whole

        def _stream(self, text: str | None) -> bool:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            words = 0
            try:
                for word in endless() if text is None else text.splitlines(keepends=True):
                    self._event(delta={"content": word})
                    words += 1
                    time.sleep(pause_seconds)
                    if over.is_set():
                        return False
                self._event(delta={}, finish="stop", usage={"prompt_tokens": 50, "completion_tokens": words})
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                return False
            return True

        def _event(self, *, delta: dict[str, str], finish: str | None = None, usage: object = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            event = {"id": "c", "object": "chat.completion.chunk", "choices": [choice], "usage": usage}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    engine.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield engine
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def endless() -> Iterator[str]:
    """Lines without a loop in them, for as long as they are read."""
    state = 1
    while True:
        state = state * 48271 % 2147483647
        yield "".join(chr(97 + state // 7**n % 26) for n in range(8)) + "\n"
