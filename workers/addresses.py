"""Where the services are: settings first, else what the running local stack has written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.errors import DatabaseUnavailable, ServiceFault
from tasks.locations import configured_database, default_home
from workers.stackfile import StackFile, read

if TYPE_CHECKING:
    from tasks.memory.bank import QdrantBank
    from tasks.settings import Settings

NO_STACK = "no stack is running; start one with `redraft up`, or set REDRAFT_DATABASE_URL"
NO_BROKER = f"{NO_STACK} and REDRAFT_BROKER_URL"


def database_url(*, admin: bool = False) -> str:
    """For people: a login that sees its own rows, or one that may change the schema. Raises `DatabaseUnavailable` where
    neither a setting nor a stack names a database."""
    configured = configured_database()
    if configured:
        return configured
    stack = _stack(DatabaseUnavailable(NO_STACK))
    return stack.admin_url if admin else stack.user_url


def worker_database_url() -> str:
    """For workers and the relay: rows of every owner. Raises `DatabaseUnavailable` as `database_url` does."""
    return configured_database() or _stack(DatabaseUnavailable(NO_STACK)).worker_url


def metrics_database_url() -> str:
    """For metrics: numbers of all owners and no row. Raises `DatabaseUnavailable` as `database_url` does."""
    return configured_database() or _stack(DatabaseUnavailable(NO_STACK)).metrics_database_url


def broker_url() -> str:
    """The Redis-protocol server. Raises `ServiceFault` where neither a setting nor a stack names one."""
    from tasks.settings import load_settings

    return load_settings().broker_url.get_secret_value() or _stack(ServiceFault(NO_BROKER)).broker_url


def memory_bank(settings: Settings) -> QdrantBank | None:
    """The memory, not yet connected; None where there is none. A local stack's is for its own database."""
    url, key = settings.memory_url, settings.memory_key.get_secret_value()
    if not url and not settings.database_url.get_secret_value():
        stack = read(settings.home)
        url, key = (stack.memory_url, stack.memory_key) if stack else ("", "")
    if not url:
        return None
    from tasks.memory.bank import QdrantBank
    from tasks.memory.embedder import Embedder

    return QdrantBank(url, key, Embedder(), collection=settings.memory_collection)


def _stack(missing: ServiceFault) -> StackFile:
    stack = read(default_home())
    if stack is None:
        raise missing
    return stack
