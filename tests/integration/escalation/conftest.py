"""A worker that serves the cloud's lane, and the stand-in of the cloud's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tasks.store.session import Database
from tests.integration.escalation.cases import RIGHT, serve
from tests.standin.responses import StandIn, serving


@pytest.fixture
def fleet(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("fleet", "redraft_worker")) as database:
        serve(database)
        yield database


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with serving([RIGHT]) as running:
        yield running
