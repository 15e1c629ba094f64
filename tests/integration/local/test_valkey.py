"""The embedded Valkey when things go wrong around it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from workers.home import Home
from workers.local.valkey import EmbeddedValkey

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    home = Home(root=tmp_path / "a home with spaces")
    home.make()
    made = EmbeddedValkey(home)
    yield made
    made.stop()


def test_it_starts_again_after_a_kill_on_the_same_url(server: EmbeddedValkey) -> None:
    server.start()
    before = server.url
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.start()
    assert server.url == before
    assert server.healthy


def test_it_refuses_whoever_has_no_password(server: EmbeddedValkey) -> None:
    server.start()
    with (
        redis.Redis(host="127.0.0.1", port=server.port, socket_timeout=5) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_it_listens_on_loopback_only_and_its_password_is_in_no_command_line(server: EmbeddedValkey) -> None:
    server.start()
    assert server.pid is not None
    process = psutil.Process(server.pid)
    assert {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    assert server.url.split(":")[2].split("@")[0] not in " ".join(process.cmdline())
