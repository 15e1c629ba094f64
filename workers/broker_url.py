"""The broker's address as a person writes it, read once for both who use it: the relay's and the watchdog's own client,
and Celery. Each has forms that the other does not know, and defaults that differ: Celery verifies no certificate
unless it is told to. Connects to nothing; no message repeats what was written, since a password may be in it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from tasks.errors import InvalidInput

ALLOWED = "redis://[USER:PASSWORD@]HOST:PORT/DB, rediss://… over TLS, or unix:///PATH?db=DB"
# What a certificate must be: Celery's words and redis-py's.
REQUIREMENTS = {"required": "required", "optional": "optional", "none": "none"}
REQUIREMENTS |= {f"CERT_{name.upper()}": name for name in ("required", "optional", "none")}
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
SOCKETS = ("unix", "redis+socket", "redis+unix")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """One address, as redis-py takes it and as Celery does."""

    redis: str
    celery: str


def read_broker_url(text: str) -> BrokerUrl:
    """The address in both forms. Raises `InvalidInput` for what not both can be given."""
    try:
        parts = urlsplit(text.strip())
        hosts = parts.netloc.rpartition("@")[2]
        if parts.scheme not in ("redis", "rediss", *SOCKETS) or ";" in text or "," in hosts:
            raise InvalidInput("broker URL", _shown(parts), ALLOWED)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        return _socket(parts, options) if parts.scheme in SOCKETS else _network(parts, options)
    except ValueError:
        raise InvalidInput("broker URL", "...", ALLOWED) from None


def _network(parts: SplitResult, options: dict[str, str]) -> BrokerUrl:
    database = parts.path.strip("/") or "0"
    if not parts.hostname or not database.isdecimal() or (parts.port is not None and not parts.port > 0):
        raise InvalidInput("broker URL", _shown(parts), ALLOWED)
    known = ("ssl_cert_reqs", *FILES) if parts.scheme == "rediss" else ()
    _refuse_unknown(options, known)
    query = ""
    if parts.scheme == "rediss":
        wanted = options.get("ssl_cert_reqs", "required")
        if wanted not in REQUIREMENTS:
            raise InvalidInput("broker URL: ssl_cert_reqs", wanted, "one of required, optional, none")
        files = {name: options[name] for name in FILES if name in options}
        query = "?" + urlencode({"ssl_cert_reqs": REQUIREMENTS[wanted], **files})
    url = f"{parts.scheme}://{parts.netloc}/{database}{query}"
    return BrokerUrl(redis=url, celery=url)


def _socket(parts: SplitResult, options: dict[str, str]) -> BrokerUrl:
    _refuse_unknown(options, ("db", "virtual_host"))
    database = options.get("db") or options.get("virtual_host") or "0"
    login, at, host = parts.netloc.rpartition("@")
    if host or not parts.path.strip("/") or not database.isdecimal():
        raise InvalidInput("broker URL", _shown(parts), ALLOWED)
    return BrokerUrl(
        redis=f"unix://{login}{at}{parts.path}?db={database}",
        celery=f"redis+socket://{login}{at}{parts.path}?virtual_host={database}",
    )


def _refuse_unknown(options: dict[str, str], known: tuple[str, ...]) -> None:
    for name in options:
        if name not in known:
            allowed = f"one of {', '.join(known)}" if known else "none; TLS is `rediss://`"
            raise InvalidInput("broker URL: parameter", name, allowed)


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://..." if parts.scheme else "..."
