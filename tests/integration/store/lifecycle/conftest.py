"""A worker's database and ledger, for the tests of an owner's verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database


@pytest.fixture
def worker_url(login: Callable[..., str]) -> str:
    return login("fleet", "redraft_worker")


@pytest.fixture
def fleet(worker_url: str) -> Iterator[Database]:
    with Database(worker_url) as database:
        yield database


@pytest.fixture
def ledger(fleet: Database) -> PostgresLedger:
    return PostgresLedger(fleet, fault_cap=3)
