"""Serves the metrics in Prometheus's text format: `/metrics`, and `/health` for whoever looks whether it lives. Knows
no metric."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from tasks.errors import PartFailed
from tasks.settings import Settings
from tasks.store.metrics import read_metrics
from tasks.store.session import Database
from workers.home import Home
from workers.hostnames import is_ours
from workers.metrics.collector import MetricsCollector

LOOPBACK = "127.0.0.1"


class _Handler(RequestHandler):
    """Numbers only, and still for nobody's page: a browser is led here under another name."""

    def initialize(self, registry: CollectorRegistry, hosts: Collection[str] | None) -> None:
        self.registry, self.hosts = registry, hosts

    def prepare(self) -> None:
        if self.hosts is not None and not is_ours(self.request.host, self.hosts):
            self.send_error(403)

    def set_default_headers(self) -> None:
        self.clear_header("Server")


class Metrics(_Handler):
    """The numbers."""

    async def get(self) -> None:
        """They are read in a thread, so that a slow database keeps no look at `/health` waiting."""
        encode, content_type = choose_encoder(self.request.headers.get("Accept", ""))
        body = await asyncio.get_running_loop().run_in_executor(None, encode, self.registry)
        self.set_header("Content-Type", content_type)
        self.finish(body)


class Health(_Handler):
    """Whether this process answers."""

    def get(self) -> None:
        """It does, whatever the database does."""
        self.finish("ok\n")


def application(registry: CollectorRegistry, hosts: Collection[str] | None) -> Application:
    """Its addresses. `hosts` are the names beside loopback's that it answers under; None: any."""
    share = {"registry": registry, "hosts": hosts}
    return Application([(r"/metrics", Metrics, share), (r"/health", Health, share)], log_function=lambda _: None)


def collector_of(settings: Settings, database: Database) -> MetricsCollector:
    """What is collected of a database, and on this machine."""
    home = Home(root=settings.home)
    places = {"home": home.root, "database": home.postgres_folder(), "cache": settings.cache}
    return MetricsCollector(lambda: read_metrics(database), home=home.root, places=places)


def serve(
    settings: Settings,
    url: str,
    *,
    port: int,
    address: str = LOOPBACK,
    ready: Callable[[int], None] = lambda port: None,
) -> None:
    """Serves until TERM or INT; `ready` is told the port once it listens. Off loopback it answers under any name.
    Raises `PartFailed` where the address can't be used."""
    registry, loop = CollectorRegistry(), IOLoop.current()
    with Database(url, name="redraft metrics server", pool=1) as database:
        registry.register(collector_of(settings, database))
        server = HTTPServer(application(registry, () if address == LOOPBACK else None))
        try:
            server.listen(port, address=address)
        except OSError as error:
            raise PartFailed(f"{address}:{port} can't be used: {error.strerror}") from error
        ready(next(iter(server._sockets.values())).getsockname()[1])
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.add_callback_from_signal(loop.stop))
        try:
            loop.start()
        finally:
            server.stop()
