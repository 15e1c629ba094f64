"""The hooks that the settings name. Must not know how they are told.

What is not allowed is said without an address or a secret: both may stand in a log.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from tasks.errors import InvalidInput
from tasks.settings import Settings
from tasks.types import HookEvent
from workers import stackfile
from workers.hooks.command import Command
from workers.hooks.webhook import Webhook

PREFIX = "whsec_"
# As Standard Webhooks has it.
LEAST_KEY_BYTES, MOST_KEY_BYTES = 24, 64
# Each is a thread and a connection to Postgres.
MOST_URLS = 8
NOT_SHOWN = "(not shown)"
SECRET_RULE = f"{PREFIX} and {LEAST_KEY_BYTES} to {MOST_KEY_BYTES} bytes in base64; `ops/docs/webhooks.md` makes one"


class Hook(Protocol):
    """Somebody who is told of events."""

    @property
    def name(self) -> str:
        """What it is called in lists and logs; tells no address."""

    def send(self, event_id: str, body: str) -> str:
        """Tells it of an event; what came of it, in a line. It must bear the same event twice. Raises
        `NotDelivered`."""


def hooks_of(settings: Settings) -> tuple[Hook, ...]:
    """The webhooks and the command. Raises `InvalidInput`."""
    urls = tuple(dict.fromkeys(settings.webhook_urls.get_secret_value().split()))
    if len(urls) > MOST_URLS:
        raise InvalidInput("setting webhook_urls", f"{len(urls)} addresses", f"at most {MOST_URLS}")
    hooks: list[Hook] = []
    if urls:
        secrets = tuple(settings.webhook_secret.get_secret_value().split())
        _check_secrets(secrets)
        hooks += [Webhook(_name(url), url, secrets, seconds=settings.hook_seconds) for url in urls]
    if argv := settings.hook_command:
        if not shutil.which(argv[0]):
            raise InvalidInput("setting hook_command", argv[0], "a program of this machine and its arguments")
        hooks.append(Command(argv, seconds=settings.hook_seconds, home=settings.home))
    return tuple(hooks)


def events_of(settings: Settings) -> tuple[HookEvent, ...]:
    """What they are told of."""
    return settings.hook_events or tuple(HookEvent)


def page_of(settings: Settings) -> Callable[[], str]:
    """Gives the address of the live page: the setting's, else the local stack's."""

    def page() -> str:
        if settings.page_url:
            return settings.page_url
        stack = stackfile.read(Path(settings.home))
        return stack.ui_url if stack else ""

    return page


def _name(url: str) -> str:
    """Its host and a digest that tells addresses of one host apart. Raises `InvalidInput`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise InvalidInput("setting webhook_urls", NOT_SHOWN, "http:// or https:// and a host, separated by spaces")
    return f"{host}-{hashlib.sha256(url.encode()).hexdigest()[:6]}"


def _check_secrets(secrets: tuple[str, ...]) -> None:
    """Raises `InvalidInput`."""
    if not secrets:
        raise InvalidInput("setting webhook_secret", "", f"what signs is sent to a webhook needs one: {SECRET_RULE}")
    for secret in secrets:
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not secret.startswith(PREFIX) or not LEAST_KEY_BYTES <= len(key) <= MOST_KEY_BYTES:
            raise InvalidInput("setting webhook_secret", NOT_SHOWN, SECRET_RULE)
