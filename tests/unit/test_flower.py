"""Flower as we run it: who may see what, and under which name."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from flower import options as flower_options
from flower import urls
from tornado.testing import AsyncHTTPTestCase

from workers.flower import GuardedFlower
from workers.hostnames import is_ours

PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"ada:hush").decode()}
PAGES = ("/", "/workers", "/tasks", "/api/tasks", "/metrics")


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:5555", True),
        ("127.0.0.1", True),
        ("127.8.8.8:80", True),
        ("localhost:41000", True),
        ("LOCALHOST", True),
        ("[::1]:5555", True),
        ("queue.example.org", True),
        ("queue.example.org:8443", True),
        ("attacker.example", False),
        ("attacker.example:5555", False),
        ("127.0.0.1.attacker.example:5555", False),
        ("localhost.attacker.example", False),
        ("0.0.0.0:5555", False),
        ("10.0.0.7:5555", False),
        ("", False),
        ("127.0.0.1:5555,attacker.example", False),
        ("attacker.example@127.0.0.1", False),
        ("127.0.0.1/attacker.example", False),
        ("[::1", False),
        ("127.0.0.1:port", False),
    ],
)
def test_only_loopback_and_the_names_that_are_set_are_flowers(host: str, ours: bool) -> None:
    assert is_ours(host, {"queue.example.org"}) is ours


class Served(AsyncHTTPTestCase):
    """The server itself, on a port of its own."""

    def get_app(self) -> Any:
        return GuardedFlower(
            hosts=["Queue.example.org"],
            capp=Celery(broker="memory://"),
            options=flower_options.options,
            io_loop=self.io_loop,
            **urls.settings,
        )

    def runTest(self) -> None:
        """Only its parts are used."""


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(flower_options.options.mockable(), "basic_auth", ["ada:hush"])
    with _served() as served:
        yield lambda path, **headers: served.fetch(path, headers=headers).code


@contextmanager
def _served() -> Iterator[Served]:
    served = Served()
    served.setUp()
    try:
        yield served
    finally:
        served.tearDown()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_and_the_metrics_ask_for_the_password(status: Any, path: str) -> None:
    wrong = {"Authorization": "Basic " + base64.b64encode(b"ada:loud").decode()}
    assert status(path) == 401
    assert status(path, **wrong) == 401
    assert status(path, **PASSWORD) == 200


@pytest.mark.parametrize("path", [*PAGES, "/healthcheck", "/static/css/flower.css", "/nowhere"])
def test_a_foreign_name_is_refused_though_the_password_is_right(status: Any, path: str) -> None:
    assert status(path, Host="attacker.example:5555", **PASSWORD) == 403


def test_a_name_that_is_set_is_served_and_the_health_check_needs_no_password(status: Any) -> None:
    assert status("/workers", Host="queue.example.org", **PASSWORD) == 200
    assert status("/healthcheck") == 200
