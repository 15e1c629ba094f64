"""A Valkey that never answers the wait for a message, and all else: what a dead subscription looks like from inside."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

WAITS = b"BRPOP"


@contextlib.contextmanager
def deafened(url: str) -> Iterator[str]:
    """The address of a proxy before the Valkey at `url`."""
    there = urlsplit(url)
    server = socket.create_server(("127.0.0.1", 0))
    open_sockets: list[socket.socket] = [server]

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection((there.hostname, there.port or 6379))
                open_sockets.extend((near, far))
                for source, sink, lost in ((near, far, WAITS), (far, near, None)):
                    threading.Thread(target=forward, args=(source, sink, lost), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        port = server.getsockname()[1]
        yield there._replace(netloc=there.netloc.replace(f":{there.port}", f":{port}")).geturl()
    finally:
        for each in open_sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        thread.join()


def forward(source: socket.socket, sink: socket.socket, lost: bytes | None) -> None:
    """Until one side closes; what holds `lost` is swallowed."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            if lost is None or lost not in chunk:
                sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
