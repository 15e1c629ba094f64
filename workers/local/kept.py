"""What a home keeps between one `up` and the next: the ports, and the passwords that people have written down. In a
file that its owner alone may read."""

from __future__ import annotations

import dataclasses
import json
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import PartFailed
from tasks.settings import Settings
from workers.home import Home, free_port, write_private

PARTS = ("postgres", "valkey", "memory", "flower", "ui", "metrics")


def _password() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Ports are on loopback. The user is a person's login in Postgres."""

    postgres_port: int
    valkey_port: int
    memory_port: int
    flower_port: int
    ui_port: int
    metrics_port: int
    flower_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    memory_key: str = field(default_factory=_password)
    valkey_password: str = field(default_factory=_password)
    worker_password: str = field(default_factory=_password)
    user_password: str = field(default_factory=_password)
    metrics_password: str = field(default_factory=_password)
    ui_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))


def keep(home: Home, settings: Settings) -> Kept:
    """What is kept, with what the `settings` say in its place, and another port where one was taken meanwhile. Raises
    `PartFailed` where one that a setting names is taken."""
    path = home.root / "kept.json"
    known = _read(path)
    fields: dict[str, Any] = {name: value for name, value in known.items() if isinstance(value, str) and value}
    ports: dict[str, Any] = {}
    for part in PARTS:
        ports[f"{part}_port"] = _port(part, getattr(settings, f"{part}_port", 0), known.get(f"{part}_port"), ports)
    chosen = settings.flower_password.get_secret_value()
    if chosen:
        fields["flower_password"] = chosen
    kept = Kept(**{**fields, **ports})
    write_private(path, json.dumps(dataclasses.asdict(kept), indent=1))
    return kept


def _read(path: Path) -> dict[str, str | int]:
    """The fields that are known of this release; a file that can't be read is written anew."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    names = {one.name for one in dataclasses.fields(Kept)}
    return {name: value for name, value in found.items() if name in names} if isinstance(found, dict) else {}


def _port(part: str, wanted: int, before: object, others: dict[str, int]) -> int:
    if wanted:
        if not _free(wanted):
            raise PartFailed(f"port {wanted} is taken; REDRAFT_{part.upper()}_PORT names another, or 0 for any")
        return wanted
    if isinstance(before, int) and before not in others.values() and _free(before):
        return before
    while (port := free_port()) in others.values():
        pass
    return port


def _free(port: int) -> bool:
    """Whether a part could listen there now; connections of before that time out are no hindrance to it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
