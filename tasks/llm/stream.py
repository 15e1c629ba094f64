"""One streamed request: a thread of its own reads it and hands each event on, and whoever leaves shuts its socket
down, so that the engine aborts what nobody waits for. It must not know what the events mean.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

# How long the leaving side waits for the reader to let go; the socket is shut down by then.
LEAVE_SECONDS = 2.0
# Takes one event, in the reader's thread: a second thread woken for each token costs as much as all the rest. False
# ends the request.
Take = Callable[[dict[str, Any]], bool]


class Stream:
    """One request under way: a thread gives its events to `take`. `error` is what ended it, if anything did."""

    def __init__(self, client: httpx2.Client, base_url: str, api_key: str, body: Mapping[str, Any], take: Take) -> None:
        self.error: Exception | None = None
        self._ended = threading.Event()
        self._client, self._base_url, self._api_key, self._body = client, base_url, api_key, body
        self._take = take
        self._left = threading.Event()
        self._socket: socket.socket | None = None
        client.event_hooks = {"request": [self._watch_connection]}
        self._reader = threading.Thread(target=self._read, name="stream", daemon=True)
        self._reader.start()

    def ended(self, timeout_seconds: float) -> bool:
        """Whether it is over, waited for at most so long."""
        return self._ended.wait(timeout_seconds)

    def leave(self) -> None:
        """Ends the request, finished or not. A reader that blocks in `recv` only wakes by a shutdown."""
        self._left.set()
        self._shut_down()
        self._reader.join(LEAVE_SECONDS)

    def _watch_connection(self, request: httpx2.Request) -> None:
        request.extensions = {**request.extensions, "trace": self._connected}

    def _connected(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._left.is_set():
                self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        import openai

        try:
            with (
                self._client as http,
                openai.OpenAI(
                    base_url=self._base_url,
                    api_key=self._api_key,
                    max_retries=0,
                    timeout=http.timeout,
                    http_client=http,  # type: ignore[arg-type,unused-ignore]
                ) as client,
                client.chat.completions.with_streaming_response.create(**self._body) as response,
            ):
                for event in _events(response.iter_bytes()):
                    if not self._take(event):
                        break
        except Exception as error:  # noqa: BLE001  (it goes to the thread that waits, which explains it)
            self.error = error
        finally:
            self._ended.set()


def _events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON of each `data:` line until `[DONE]`. Only \\n ends a line: JSON may hold Unicode's other ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            event = json.loads(data)
            if not isinstance(event, dict):
                raise TypeError("an event is no JSON object")
            yield event
