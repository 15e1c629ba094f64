"""Flower with the two doors shut that it has no option for: `/metrics`, which it serves to anybody, and requests under
a foreign name, by which a page in a browser could reach it on loopback (DNS rebinding).

`python -m workers.flower --conf=FILE` runs it, on the local stack and in a container alike. `/healthcheck` asks for no
password and says nothing but OK. Must not know jobs.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
import sys
from collections.abc import Collection
from typing import Any

from flower import command, urls
from flower.app import Flower
from flower.views.monitor import Metrics
from tornado.httputil import HTTPServerRequest
from tornado.options import options
from tornado.web import RequestHandler, authenticated

from tasks.settings import load_settings
from workers.hostnames import is_ours

FORBIDDEN = 403


class ClosedMetrics(Metrics):  # type: ignore[misc]
    """Flower's own, behind its password."""

    get = authenticated(Metrics.get)


class ForeignHost(RequestHandler):
    """The answer to a request under a name that is not ours."""

    def prepare(self) -> None:
        """Refuses."""
        self.set_status(FORBIDDEN)
        self.finish("this name is not Flower's; REDRAFT_FLOWER_HOSTS lists those that are\n")


class GuardedFlower(Flower):  # type: ignore[misc]
    """Parameters: `hosts`, the names that it may be called by beside those of loopback."""

    def __init__(self, *, hosts: Collection[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hosts = frozenset(host.lower() for host in hosts)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """As Tornado does, but for the two."""
        if not is_ours(request.host, self._hosts):
            return self.get_handler_delegate(request, ForeignHost)
        delegate = super().find_handler(request, **kwargs)
        if getattr(delegate, "handler_class", None) is Metrics:
            delegate.handler_class = ClosedMetrics
        return delegate


def main() -> None:
    """What `celery flower` does, with our server in the place of its own."""
    from workers.celery_app import app

    command.apply_env_options()
    command.apply_options("flower", sys.argv[1:])
    command.extract_settings()
    command.setup_logging()
    server = GuardedFlower(hosts=load_settings().flower_hosts, capp=app, options=options, **urls.settings)
    atexit.register(server.stop)
    signal.signal(signal.SIGTERM, command.sigterm_handler)
    server.start_http_server()
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.start()


if __name__ == "__main__":
    main()
