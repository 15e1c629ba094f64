"""One streamed request: a thread of its own reads the events, and closing the stream shuts its socket down, so that the
engine aborts a generation that nobody waits for. It must not know what the events mean.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks.llm.sse import events

if TYPE_CHECKING:
    import httpx2
    import openai

# How long `close` waits for the reader to end; the socket is shut down by then.
CLOSE_SECONDS = 2.0
# The elements of `items`: one event of the stream, the error that ended it, or None at its end.
Item = dict[str, Any] | Exception | None
# Handles one event in the reader's own thread: waking a second thread for each token would cost as much as all the
# rest. False ends the request.
OnEvent = Callable[[dict[str, Any]], bool]
# Sends the request with this client and yields its events.
Send = Callable[["openai.OpenAI"], Iterator[dict[str, Any]]]


class Stream:
    """One request under way: a thread passes the events of `send` to `on_event`, or puts them into `items`. `error` is
    what broke it off, if anything did."""

    def __init__(
        self, client: httpx2.Client, base_url: str, api_key: str, send: Send, on_event: OnEvent | None = None
    ) -> None:
        self.items: queue.Queue[Item] = queue.Queue()
        self.error: Exception | None = None
        self._ended = threading.Event()
        self._on_event = on_event or self._enqueue
        self._client, self._base_url, self._api_key, self._send = client, base_url, api_key, send
        self._closed, self._sent = threading.Event(), threading.Event()
        self._deciding = threading.Lock()
        self._socket: socket.socket | None = None
        client.event_hooks = {"request": [self._watch_connection]}
        self._reader = threading.Thread(target=self._read, name="stream", daemon=True)
        self._reader.start()

    def ended(self, timeout_seconds: float) -> bool:
        """Waits for the end, at most this long; returns whether it has ended."""
        return self._ended.wait(timeout_seconds)

    def close(self) -> None:
        """Ends the request, finished or not; a second call does nothing. Only a shutdown wakes a reader in `recv`."""
        with self._deciding:
            if self._closed.is_set():
                return
            self._closed.set()
        self._shut_down()
        self._reader.join(CLOSE_SECONDS)

    @property
    def sent(self) -> bool:
        """Whether a byte of the request may have been sent. It no longer changes once `close` was called."""
        return self._sent.is_set()

    def _watch_connection(self, request: httpx2.Request) -> None:
        request.extensions = {**request.extensions, "trace": self._on_trace}

    def _on_trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._closed.is_set():
                self._shut_down()
        elif event.endswith("send_request_headers.started"):
            with self._deciding:
                if self._closed.is_set():
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
                for event in self._send(client):
                    if not self._on_event(event):
                        break
        except Exception as error:  # noqa: BLE001  (the waiting thread gets and reports it)
            self.error = error
        finally:
            self.items.put(self.error)
            self._ended.set()

    def _enqueue(self, event: dict[str, Any]) -> bool:
        self.items.put(event)
        return True


def chat(body: Mapping[str, Any]) -> Send:
    """A streamed chat completion."""

    def send(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
        with client.chat.completions.with_streaming_response.create(**body) as response:
            yield from events(response.iter_bytes())

    return send
