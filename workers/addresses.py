"""Where the services are: settings first, else what the running local stack has written down."""

from __future__ import annotations

from tasks.errors import ServiceFault
from tasks.settings import load_settings
from workers.local.stackfile import read

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
