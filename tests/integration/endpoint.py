"""A tiny OpenAI-compatible server on loopback that answers by a function: for tests of the whole stack."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextlib.contextmanager
def serving(answer: Callable[[str], str], media: list[str] | None = None) -> Iterator[str]:
    """Serves `answer(text of the last user message)`; yields the base URL. `media` gets each image's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def _send(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._send(json.dumps({"data": [{"id": "tiny", "max_model_len": 8192}]}).encode(), "application/json")

        def do_POST(self) -> None:
            asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/tokenize"):
                self._send(json.dumps({"count": len(str(asked["messages"])) // 4}).encode(), "application/json")
                return
            content = asked["messages"][-1]["content"]
            if not isinstance(content, str):
                media_here = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
                (media if media is not None else []).extend(media_here)
                content = "".join(part["text"] for part in content if part["type"] == "text")
            said = answer(content)
            usage = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
            if not asked.get("stream"):
                message = {"role": "assistant", "content": "Hello there."}
                self._send(json.dumps({"choices": [{"message": message}]}).encode(), "application/json")
                return
            common = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
            chunks = [
                {**common, "choices": [{"index": 0, "delta": {"content": said}, "finish_reason": None}]},
                {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {**common, "choices": [], "usage": usage},
            ]
            lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
            self._send(lines.encode(), "text/event-stream")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
