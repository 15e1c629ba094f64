"""Whether a request means us: a page in a browser can reach a server on loopback under a name of its own (DNS
rebinding). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit


def is_ours(host: str, hosts: Collection[str]) -> bool:
    """Whether a Host header means loopback, at whatever port it was forwarded from, or one of `hosts`."""
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.netloc != host or "@" in host or parts.path or parts.query or parts.fragment:
        return False
    if name == "localhost" or name in hosts or (port is not None and f"{name}:{port}" in hosts):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
