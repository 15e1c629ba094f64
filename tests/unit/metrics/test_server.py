"""Who is answered, and under which name."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge
from tornado.ioloop import IOLoop

from workers.metrics.server import application


@pytest.fixture
def port() -> Iterator[int]:
    """A server of one number, which takes loopback's names only."""
    registry, ports, ready = CollectorRegistry(), list[int](), threading.Event()
    Gauge("redraft_workers", "Live workers.", registry=registry).set(2)
    loops = list[IOLoop]()

    def run() -> None:
        loop = IOLoop(make_current=True)
        server = application(registry, ()).listen(0, address="127.0.0.1")
        ports.append(next(iter(server._sockets.values())).getsockname()[1])
        loops.append(loop)
        ready.set()
        loop.start()
        server.stop()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    yield ports[0]
    loops[0].add_callback(loops[0].stop)
    thread.join()


def asked(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, response.headers.get("Content-Type", ""), body


def test_metrics_come_in_the_format_that_is_asked_for(port: int) -> None:
    status, kind, body = asked(port, "/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert "redraft_workers 2.0\n" in body
    status, kind, body = asked(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_health_answers_without_a_number(port: int) -> None:
    assert asked(port, "/health")[::2] == (200, "ok\n")
    assert asked(port, "/")[0] == 404


def test_a_page_that_was_led_to_loopback_under_its_own_name_gets_nothing(port: int) -> None:
    status, _, body = asked(port, "/metrics", Host="evil.example.org")
    assert status == 403
    assert "redraft_workers" not in body
    assert asked(port, "/metrics", Host=f"localhost:{port}")[0] == 200
