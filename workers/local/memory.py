"""The embedded memory: one process that owns Qdrant's local mode and serves it on loopback, behind a key.
`python -m workers.local.memory` runs it for the stack of $REDRAFT_HOME."""

from __future__ import annotations

import hmac
import json
import signal
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application, HTTPError, RequestHandler

from tasks.errors import PartFailed
from tasks.memory.points import LocalPoints
from tasks.settings import default_home
from workers.stackfile import read

LOOPBACK = "127.0.0.1"
UNAUTHORIZED = 401


class Points(RequestHandler):
    """Every request; each is answered before the next, for local mode takes one at a time."""

    def initialize(self, points: LocalPoints, key: str) -> None:
        """Parameters: what answers, and the key that a request must carry."""
        self._points, self._key = points, key

    def prepare(self) -> None:
        """Answers. Raises `HTTPError` 401 without the key."""
        if not hmac.compare_digest(self.request.headers.get("api-key", "").encode(), self._key.encode()):
            raise HTTPError(UNAUTHORIZED)
        status, document = self._points.answer(self.request.method or "", self.request.path, self.request.body)
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(document))

    def log_exception(self, *_: object) -> None:
        """The access log has the status; a wrong key is no event for a traceback."""


def open_points(folder: Path) -> LocalPoints:
    """The data of `folder`. What cannot be read is moved aside: it is an index, and Postgres has what it was made of.

    Raises `PartFailed` where another process owns the folder.
    """
    try:
        return LocalPoints(folder)
    except RuntimeError as error:
        raise PartFailed(str(error)) from error
    except Exception as error:  # noqa: BLE001 - whatever damaged files make a library raise
        aside = folder.with_name(f"{folder.name}.unreadable-{int(time.time())}")
        folder.rename(aside)
        sys.stderr.write(f"{aside} cannot be read ({error}); `redraft memory rebuild` makes the index anew\n")
        return LocalPoints(folder)


def serve(folder: Path, port: int, key: str) -> None:
    """Until TERM or INT."""
    points = open_points(folder)
    server = HTTPServer(Application([(r"/.*", Points, {"points": points, "key": key})]))
    loop = IOLoop.current()
    server.listen(port, address=LOOPBACK)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.add_callback_from_signal(loop.stop))
    try:
        loop.start()
    finally:
        server.stop()
        points.close()


def main() -> int:
    """For the stack that is written down in $REDRAFT_HOME; the exit code."""
    home = default_home()
    stack = read(home)
    if stack is None:
        sys.stderr.write("no stack is running here\n")
        return 1
    try:
        serve(home / "memory", urlsplit(stack.memory_url).port or 0, stack.memory_key)
    except PartFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
