"""The embedded memory: one process that runs Qdrant's local mode and serves it on loopback, protected by a key.
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
from tasks.locations import default_home
from tasks.memory.points import LocalPoints
from workers.stackfile import read

LOOPBACK = "127.0.0.1"
UNAUTHORIZED = 401


class Points(RequestHandler):
    """Handles every request; one at a time, since local mode is not thread-safe."""

    def initialize(self, points: LocalPoints, key: str) -> None:
        """Parameters: `points` answers requests; `key` is required in each."""
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
        """Logs nothing: the access log has the status, and a wrong key needs no traceback."""


def open_points(folder: Path) -> LocalPoints:
    """Opens the data of `folder`. Unreadable data is moved aside, since the index can be rebuilt from Postgres.

    Raises `PartFailed` where another process has opened the folder.
    """
    try:
        return LocalPoints(folder)
    except RuntimeError as error:
        raise PartFailed(str(error)) from error
    except Exception as error:  # noqa: BLE001 - damaged files may raise anything
        backup = folder.with_name(f"{folder.name}.unreadable-{int(time.time())}")
        folder.rename(backup)
        sys.stderr.write(f"{backup} cannot be read ({error}); `redraft memory rebuild` rebuilds the index\n")
        return LocalPoints(folder)


def serve(folder: Path, port: int, key: str) -> None:
    """Serves until TERM or INT."""
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
    """Serves the memory of the stack in $REDRAFT_HOME; returns the exit code."""
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
