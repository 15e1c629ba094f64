"""What the stand-ins of servers share: JSON in, JSON or server-sent events out, over loopback. Knows nothing of what is
asked or answered."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Quiet. A stream ends its connection, a whole answer does not."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nowhere."""

    def asked(self) -> dict[str, Any]:
        """The JSON of the request's body."""
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def send(self, body: bytes | Any, status: int = 200) -> None:
        """Bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked has gone
            self.wfile.write(content)

    def say(self, text: str) -> None:
        """A chat completion that is not streamed."""
        self.send({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})

    def begin(self) -> None:
        """The head of a stream."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, data: Mapping[str, Any] | str, kind: str = "") -> None:
        """One event, at once. Raises `OSError` where the client has hung up."""
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        self.wfile.write(f"{f'event: {kind}' + chr(10) if kind else ''}data: {text}\n\n".encode())
        self.wfile.flush()

    def word(self, text: str | None = None, finish: str | None = None, **fields: Any) -> None:
        """A chunk of a chat completion: a piece of its text, and how it ended."""
        delta = fields if text is None else {"content": text, **fields}
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": [choice]})

    def end(self, prompt_tokens: int | None = None, completion_tokens: int = 0) -> None:
        """The end of a chat completion, with its usage where there is one."""
        if prompt_tokens is not None:
            usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
            self.event({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage})
        self.event("[DONE]")


class Server(ThreadingHTTPServer):
    """Takes many connections at once; a client that hangs up is no error of ours."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Nowhere."""


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """The address of a running server, without a path; gone at the end."""
    server = Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
