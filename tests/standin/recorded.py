"""A stand-in of a server that streams recordings of `tests/streams` as they are kept there. Knows nothing of what they
mean."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.standin import serve

STREAMS = Path(__file__).parents[1] / "streams"
RECORDINGS = tuple(sorted(path.stem for path in STREAMS.glob("*.sse")))


def facts_of(name: str) -> dict[str, Any]:
    """What a recording's TOML file says of it: what it is, whence, and what is `right`."""
    return tomllib.loads((STREAMS / f"{name}.toml").read_text())


def send(handler: serve.Handler, name: str, chunk_bytes: int = 1 << 20) -> None:
    """Sends a recording, so many bytes at a time."""
    body, facts = (STREAMS / f"{name}.sse").read_bytes(), facts_of(name)
    handler.send_response(200)
    handler.send_header("Content-Type", facts.get("content_type", "text/event-stream; charset=utf-8"))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    for at in range(0, len(body), chunk_bytes):
        handler.wfile.write(body[at : at + chunk_bytes])
        handler.wfile.flush()


@dataclass(kw_only=True)
class RecordedServer:
    """A running one: sends the `recordings` in turn, the last one for ever; `bodies` are the streamed requests."""

    recordings: list[str]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def next(self, body: dict[str, Any]) -> str:
        """The recording for this request."""
        self.bodies.append(body)
        return self.recordings.pop(0) if len(self.recordings) > 1 else self.recordings[0]


@contextlib.contextmanager
def serving(*recordings: str) -> Iterator[RecordedServer]:
    """Serves them on loopback; what isn't streamed is answered with a greeting."""
    server = RecordedServer(recordings=list(recordings))

    class Handler(serve.Handler):
        def do_GET(self) -> None:
            listed = {"data": [{"id": "tiny", "max_model_len": 4096}]}
            self.send(listed if self.path == "/v1/models" else {"error": "no such page"}, 200)

        def do_POST(self) -> None:
            body = self.asked()
            if self.path != "/v1/chat/completions":
                self.send({"error": "no such page"}, 404)
            elif not body.get("stream"):
                self.say("Hello there.")
            else:
                with contextlib.suppress(OSError):  # the client has read enough
                    send(self, server.next(body))

    with serve.serving(Handler) as root:
        server.url = f"{root}/v1"
        yield server
