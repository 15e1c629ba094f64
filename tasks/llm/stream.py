"""One request: a thread of its own reads it and hands each event on, and whoever leaves shuts its socket down, so that
the engine aborts what nobody waits for. It must not know what the events mean.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2
    import openai

# How long the leaving side waits for the reader to let go; the socket is shut down by then.
LEAVE_SECONDS = 2.0
# What lies in `items`: one event of the stream, the error that ended it, or None at its end.
Item = dict[str, Any] | Exception | None
# Takes one event in the reader's own thread: a second thread woken for each token costs as much as all the rest.
# False ends the request.
Take = Callable[[dict[str, Any]], bool]
# Makes the request with the client it is given, and yields its events.
Ask = Callable[["openai.OpenAI"], Iterator[dict[str, Any]]]


class Stream:
    """One request under way: a thread gives the events of `ask` to `take`, or puts them into `items`. `error` is what
    ended it, if anything did."""

    def __init__(self, client: httpx2.Client, base_url: str, api_key: str, ask: Ask, take: Take | None = None) -> None:
        self.items: queue.Queue[Item] = queue.Queue()
        self.error: Exception | None = None
        self._ended = threading.Event()
        self._take = take or self._keep
        self._client, self._base_url, self._api_key, self._ask = client, base_url, api_key, ask
        self._left, self._sent = threading.Event(), threading.Event()
        self._deciding = threading.Lock()
        self._socket: socket.socket | None = None
        client.event_hooks = {"request": [self._watch_connection]}
        self._reader = threading.Thread(target=self._read, name="stream", daemon=True)
        self._reader.start()

    def ended(self, timeout_seconds: float) -> bool:
        """Whether it is over, waited for at most so long."""
        return self._ended.wait(timeout_seconds)

    def leave(self) -> None:
        """Ends the request, finished or not; again is harmless. A reader in `recv` only wakes by a shutdown."""
        with self._deciding:
            if self._left.is_set():
                return
            self._left.set()
        self._shut_down()
        self._reader.join(LEAVE_SECONDS)

    @property
    def sent(self) -> bool:
        """Whether a byte of the request may have left: once `leave` was called this changes no more."""
        return self._sent.is_set()

    def _watch_connection(self, request: httpx2.Request) -> None:
        request.extensions = {**request.extensions, "trace": self._connected}

    def _connected(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._left.is_set():
                self._shut_down()
        elif event.endswith("send_request_headers.started"):
            with self._deciding:
                if self._left.is_set():
                    raise ConnectionAbortedError("nobody waits for this request any more")
                self._sent.set()

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
            ):
                for event in self._ask(client):
                    if not self._take(event):
                        break
        except Exception as error:  # noqa: BLE001  (it goes to the thread that waits, which explains it)
            self.error = error
        finally:
            self.items.put(self.error)
            self._ended.set()

    def _keep(self, event: dict[str, Any]) -> bool:
        self.items.put(event)
        return True


def chat(body: Mapping[str, Any]) -> Ask:
    """A streamed chat completion."""

    def ask(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
        with client.chat.completions.with_streaming_response.create(**body) as response:
            yield from events(response.iter_bytes())

    return ask


def events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
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
