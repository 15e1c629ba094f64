"""A TCP proxy on loopback that stands between a process and a service, and can cut, refuse, swallow, or lose the
acknowledgement of a COMMIT. Knows the few bytes of Postgres's protocol that a COMMIT is made of."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field

# What psycopg sends to commit, as a simple query; what comes back is thrown away with the connection.
COMMIT = b"COMMIT\x00"
CHUNK = 65536
LOOK_SECONDS = 0.05


@dataclass(eq=False)
class _Pair:
    client: socket.socket
    server: socket.socket
    losing: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        self.over.set()
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on a port of its own and forwards to `target`, a port. Every fault is switched on and off here."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        self.refusing = False
        self.silent = False
        self._commits_to_lose = 0
        self.commits_lost = 0
        threading.Thread(target=self._accept, name=f"proxy-{self.port}", daemon=True).start()

    def cut(self) -> int:
        """Ends every connection, now; how many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.close()
        return len(pairs)

    def refuse(self, on: bool) -> int:
        """While it is on nobody gets through: what is open is cut, what is new is closed at once."""
        self.refusing = on
        return self.cut() if on else 0

    def swallow(self, on: bool) -> int:
        """While it is on connections are half-open: they stay, and nothing passes in either direction. Off, those that
        were silent end without a word. How many there are."""
        self.silent = on
        with self._lock:
            number = len(self._pairs)
        return number if on else self.cut()

    def lose_commits(self, number: int) -> None:
        """The next `number` COMMITs reach the database; their acknowledgements never arrive."""
        with self._lock:
            self._commits_to_lose = number

    def close(self) -> None:
        """No more listening, no more connections."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            pair = _Pair(client, server)
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=self._serve, args=(pair,), daemon=True).start()

    def _serve(self, pair: _Pair) -> None:
        try:
            for end in (pair.client, pair.server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(None)
            self._forward(pair)
        except (OSError, ValueError):
            pass  # one of the two has gone
        finally:
            pair.close()
            with self._lock:
                self._pairs.discard(pair)

    def _forward(self, pair: _Pair) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(pair.client, selectors.EVENT_READ)
            ready.register(pair.server, selectors.EVENT_READ)
            while not pair.over.is_set():
                if self.silent:
                    pair.over.wait(LOOK_SECONDS)
                    continue
                for key, _ in ready.select(LOOK_SECONDS if self._commits_to_lose else 1.0):
                    data = key.fileobj.recv(CHUNK)  # type: ignore[union-attr]
                    if not data or self.silent:
                        if not data:
                            return
                        continue
                    if key.fileobj is pair.client:
                        pair.losing = pair.losing or (COMMIT in data and self._loses())
                        pair.server.sendall(data)
                    elif pair.losing:  # it is committed, and nobody will hear of it
                        return
                    else:
                        pair.client.sendall(data)

    def _loses(self) -> bool:
        with self._lock:
            if self._commits_to_lose == 0:
                return False
            self._commits_to_lose -= 1
            self.commits_lost += 1
            return True
