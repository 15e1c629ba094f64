"""A look at the broker past Celery: whether it answers and how many wake-ups a queue holds; and what its clients raise
where it is away. Sends nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import redis
from kombu.exceptions import KombuError

from tasks.errors import BrokerUnavailable
from workers.broker_url import read_broker_url

ANSWER_SECONDS = 5.0
# What Celery and its transport raise where the broker is away.
AWAY = (KombuError, redis.RedisError, OSError)


class Broker:
    """Parameters: `url` as `broker_url` has it, and for how many `seconds` it may be silent. Safe to share between
    threads."""

    def __init__(self, url: str, *, seconds: float = ANSWER_SECONDS) -> None:
        self._client = redis.Redis.from_url(
            read_broker_url(url).redis, socket_timeout=seconds, socket_connect_timeout=seconds
        )

    def ping(self) -> None:
        """Raises `BrokerUnavailable` where it does not answer."""
        with _explained():
            self._client.ping()

    def queued(self, queue: str) -> int:
        """Messages that wait in `queue`. Raises `BrokerUnavailable`."""
        with _explained():
            return int(self._client.llen(queue))

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise BrokerUnavailable(str(error) or type(error).__name__) from error
