"""Where the services are: settings first, else what the running local stack has written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.errors import ServiceFault
from tasks.settings import Settings, load_settings
from workers.stackfile import read

if TYPE_CHECKING:
    from tasks.memory.bank import QdrantBank

NO_STACK = "no stack is running; start one with `redraft up`, or set REDRAFT_DATABASE_URL and REDRAFT_BROKER_URL"


def database_url() -> str:
    """For people: rows of their own only. Raises `ServiceFault` where there is no stack."""
    settings = load_settings()
    if settings.database_url.get_secret_value():
        return settings.database_url.get_secret_value()
    stack = read(settings.home)
    if stack is None:
        raise ServiceFault(NO_STACK)
    return stack.user_url


def worker_database_url() -> str:
    """For workers and the relay: rows of every owner. Raises `ServiceFault` where there is no stack."""
    settings = load_settings()
    if settings.database_url.get_secret_value():
        return settings.database_url.get_secret_value()
    stack = read(settings.home)
    if stack is None:
        raise ServiceFault(NO_STACK)
    return stack.worker_url


def broker_url() -> str:
    """The Redis-protocol server. Raises `ServiceFault` where there is no stack."""
    settings = load_settings()
    if settings.broker_url.get_secret_value():
        return settings.broker_url.get_secret_value()
    stack = read(settings.home)
    if stack is None:
        raise ServiceFault(NO_STACK)
    return stack.broker_url


def memory_bank(settings: Settings) -> QdrantBank | None:
    """The memory, not yet asked for anything; None where there is none. A local stack's is for its own database."""
    url, key = settings.memory_url, settings.memory_key.get_secret_value()
    if not url and not settings.database_url.get_secret_value():
        stack = read(settings.home)
        url, key = (stack.memory_url, stack.memory_key) if stack else ("", "")
    if not url:
        return None
    from tasks.memory.bank import QdrantBank
    from tasks.memory.embedder import Embedder

    return QdrantBank(url, key, Embedder(), collection=settings.memory_collection)
