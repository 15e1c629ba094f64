"""Faults of the messages and of their broker."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator

import redis

from tests.chaos.contestant import Contestant
from tests.chaos.faults.links import cut_off
from tests.chaos.faults.registry import fault


@fault(early=True)
def every_message_delivered_ten_times(of: Contestant, chance: random.Random) -> Iterator[int]:
    """Every message is sent ten times under one id."""
    of.tenfold(True)
    yield 1
    yield 0
    of.tenfold(False)


@fault((0, 1))
def stale_messages(of: Contestant, chance: random.Random) -> Iterator[int]:
    """Messages come again whose jobs are long over."""
    yield of.stale()


@fault((0, 1))
def valkey_flushed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """FLUSHALL: every message and every unacknowledged one is gone."""
    with redis.Redis.from_url(of.services.valkey.url) as client:
        client.flushall()
    yield 1


@fault((0, 4))
def valkey_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of Valkey, and a start with what its append-only file holds."""
    valkey = of.services.valkey
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGKILL)
    yield 1
    valkey.start()


@fault((4, 8))
def valkey_connections_half_open(of: Contestant, chance: random.Random) -> Iterator[int]:
    """Every connection to Valkey stays and nothing passes: packets go nowhere."""
    yield sum(link.swallow(True) for link in of.links("valkey"))
    for link in of.links("valkey"):
        link.swallow(False)


@fault((3, 8))
def worker_cut_off_from_valkey(of: Contestant, chance: random.Random) -> Iterator[int]:
    """One worker can't reach Valkey; it reaches all else."""
    yield from cut_off(chance.choice(of.busy()), "valkey")
