"""One-time links into the page, signed with a secret of the stack. The clock is an argument; quick to import, for the
command line makes them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable

# A link is printed for somebody who opens it now.
LINK_SECONDS = 600.0

Clock = Callable[[], float]


def make_link_key(secret: str, now: float) -> str:
    """A key that opens the page once, within `LINK_SECONDS` of `now` (seconds since 1970)."""
    body = f"{int(now + LINK_SECONDS)}-{secrets.token_urlsafe(16)}"
    return f"{body}.{_signature(secret, body)}"


def _signature(secret: str, body: str) -> str:
    return hmac.new(secret.encode(), b"redraft ui link " + body.encode(), hashlib.sha256).hexdigest()


class LinkKeys:
    """The keys of one-time links. Parameter: the `secret` that they are signed with. Which were used is known since
    this was made, so that no older one opens anything."""

    def __init__(self, secret: str, clock: Clock = time.time) -> None:
        self._secret, self._clock, self._since = secret, clock, int(clock())
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def use(self, key: str) -> bool:
        """Whether the key opens the page; the same one never again."""
        body, _, signature = key.rpartition(".")
        if not self._secret or not hmac.compare_digest(_signature(self._secret, body).encode(), signature.encode()):
            return False
        ends = float(body.partition("-")[0])
        with self._lock:
            now = self._clock()
            self._used = {used: end for used, end in self._used.items() if end > now}
            if ends <= now or ends - LINK_SECONDS < self._since or body in self._used:
                return False
            self._used[body] = ends
        return True
