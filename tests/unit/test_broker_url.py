"""One address of the broker, read alike by the relay's client and by Celery."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import redis
from kombu.transport.redis import Channel

from tasks.errors import InvalidInput
from workers.broker_url import read_broker_url
from workers.celery_app import make_app


def by_redis(url: str) -> dict[str, Any]:
    """What the relay's and the watchdog's client connects with."""
    return dict(redis.Redis.from_url(read_broker_url(url).redis).connection_pool.connection_kwargs)


def by_celery(url: str) -> dict[str, Any]:
    """The parameters that Celery's transport would connect with: nothing is connected."""
    connection = make_app(url).connection_for_write()
    channel = Channel.__new__(Channel)
    channel.connection = type("Transport", (), {"client": connection, "default_port": 6379})()
    return dict(channel._connparams())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", {"host": "localhost", "port": 6379, "db": 0, "username": None, "password": None}),
        ("redis://:p%40ss@10.0.0.1:7000/2", {"host": "10.0.0.1", "port": 7000, "db": 2, "password": "p@ss"}),
        ("redis://ada:hush@db/", {"host": "db", "username": "ada", "password": "hush"}),
        ("unix:///run/valkey.sock?db=3", {"path": "/run/valkey.sock", "db": 3}),
        ("redis+socket://:hush@/run/v.sock?virtual_host=3", {"path": "/run/v.sock", "db": 3, "password": "hush"}),
    ],
)
def test_both_clients_connect_to_the_same(url: str, expected: dict[str, Any]) -> None:
    for found in (by_redis(url), by_celery(url)):
        assert {name: _plain(name, found.get(name)) for name in expected} == expected


@pytest.mark.parametrize(
    ("query", "required"),
    [
        ("", ssl.CERT_REQUIRED),
        ("?ssl_cert_reqs=none", ssl.CERT_NONE),
        ("?ssl_cert_reqs=CERT_NONE", ssl.CERT_NONE),
        ("?ssl_cert_reqs=CERT_OPTIONAL&ssl_ca_certs=/etc/ca.pem", ssl.CERT_OPTIONAL),
    ],
)
def test_both_verify_a_certificate_alike_and_by_default(query: str, required: ssl.VerifyMode) -> None:
    url = f"rediss://ada:hush@db:6380/1{query}"
    for found in (by_redis(url), by_celery(url)):
        assert _mode(found["ssl_cert_reqs"]) == required
        assert found.get("ssl_ca_certs") == ("/etc/ca.pem" if "ca.pem" in query else None)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hush",
        "amqp://ada:hush@db",
        "sentinel://hush:26379;sentinel://b:26379",
        "redis://a:6379,hush:6379/0",
        "redis://:hush@/0",
        "redis://db:hush/0",
        "redis://db/hush",
        "redis://db/0?hush=1",
        "rediss://db/0?ssl_cert_reqs=hush",
        "unix://hush",
    ],
)
def test_what_not_both_understand_is_one_line_of_bad_input(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"^broker URL") as caught:
        read_broker_url(url)
    assert ":hush@" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_address_may_be_read_twice() -> None:
    for url in ("redis://db", "rediss://db:1/2?ssl_cert_reqs=none", "unix://a:b@/run/x.sock"):
        assert read_broker_url(read_broker_url(url).celery) == read_broker_url(url)


def _mode(value: Any) -> ssl.VerifyMode:
    return value if isinstance(value, ssl.VerifyMode) else ssl.VerifyMode[f"CERT_{str(value).upper()}"]


def _plain(name: str, value: Any) -> Any:
    return int(value or (6379 if name == "port" else 0)) if name in ("port", "db") else value
