"""Who may see the page: sessions with the token of each form, and how often a password may be tried. Knows neither HTTP
nor jobs; the clock is an argument."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from tasks.client import Client

# A page is left open all night; it asks for news all the time, so only one that nobody has open runs out.
IDLE_SECONDS = 12 * 3600.0
MOST_SESSIONS = 64
# Wrong passwords of everybody together within so many seconds, before nobody may try until these are over.
MOST_WRONG, WRONG_SECONDS = 8, 60.0
# Connections that one login's pages keep; Postgres allows a person twenty.
POOL = 4

Clock = Callable[[], float]
Connect = Callable[[str], "Client"]


@dataclass(slots=True, kw_only=True)
class Session:
    """Somebody who signed in: `url` is the database under their own login, `token` what their forms carry."""

    url: str
    client: Client
    login: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    seen_at: float = 0.0


def _connect(url: str) -> Client:
    # Half a second of imports that nobody waits for before somebody signs in, and the start of a stack not at all.
    from tasks.client import Client

    return Client(url, name="redraft ui", pool=POOL)


class Sessions:
    """Who is signed in, in this process's memory only. Sessions of one login share its connections.
    `connect` makes the client of a login"""

    def __init__(self, clock: Clock = time.monotonic, connect: Connect = _connect) -> None:
        self._clock, self._connect = clock, connect
        self._sessions: dict[str, Session] = {}
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def open(self, url: str) -> str:
        """Signs in whoever may use `url`. Returns the session's name, for its cookie. Raises `DatabaseUnavailable`
        where Postgres refuses the login or is away, and `InvalidInput` where `url` is no address."""
        with self._lock:
            client = self._clients.get(url)
        client = client or self._connect(url)
        login = client.reader().owner
        name = secrets.token_urlsafe(32)
        with self._lock:
            client = self._clients.setdefault(url, client)
            self._sessions[_kept(name)] = Session(url=url, client=client, login=login, seen_at=self._clock())
            self._forget()
        return name

    def find(self, name: str) -> Session | None:
        """The session of a cookie."""
        with self._lock:
            self._forget()
            session = self._sessions.get(_kept(name))
            if session is not None:
                session.seen_at = self._clock()
            return session

    def close(self, name: str) -> None:
        """Signs out."""
        with self._lock:
            self._sessions.pop(_kept(name), None)
            self._forget()

    def close_all(self) -> None:
        """Signs everybody out and closes every connection."""
        with self._lock:
            self._sessions.clear()
            self._forget()

    def _forget(self) -> None:
        """Drops sessions that ran out, and the oldest of too many; then connections that no session uses."""
        before = self._clock() - IDLE_SECONDS
        oldest_first = sorted(self._sessions.items(), key=lambda entry: entry[1].seen_at)
        surplus = len(oldest_first) - MOST_SESSIONS
        for index, (name, session) in enumerate(oldest_first):
            if session.seen_at < before or index < surplus:
                del self._sessions[name]
        used = {session.url for session in self._sessions.values()}
        for url in [url for url in self._clients if url not in used]:
            self._clients.pop(url).close()


def _kept(name: str) -> str:
    """What is kept of a session's name, which a dump of memory must not give away as it is."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


class Attempts:
    """Counts wrong passwords, of everybody together: the page is on loopback, where all come from one address."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._wrong = clock, list[float]()
        self._lock = threading.Lock()

    def may_try(self) -> bool:
        """Whether a password may be tried now."""
        with self._lock:
            before = self._clock() - WRONG_SECONDS
            self._wrong = [moment for moment in self._wrong if moment > before]
            return len(self._wrong) < MOST_WRONG

    def failed(self) -> None:
        """One was wrong."""
        with self._lock:
            self._wrong.append(self._clock())


def sign_in(sessions: Sessions, attempts: Attempts, url: str) -> str | None:
    """The name of a new session, None where Postgres refuses the login; it counts as a wrong password then."""
    try:
        return sessions.open(url)
    except DatabaseUnavailable:
        attempts.failed()
        return None
