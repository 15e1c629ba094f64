"""The outbox worker while Postgres is away."""

from __future__ import annotations

import time

import structlog

from tests.background import running
from workers.home import free_port
from workers.outbox_worker import LOOK_SECONDS, OutboxWorker


def test_a_postgres_that_is_away_is_asked_once_a_look_and_not_without_pause() -> None:
    worker = OutboxWorker(f"postgresql+psycopg://nobody:none@127.0.0.1:{free_port()}/none", {})
    looked = 2
    with structlog.testing.capture_logs() as said, running(worker.run):
        time.sleep(LOOK_SECONDS * looked)
    asked = [entry for entry in said if entry["event"] == "the outbox waits for Postgres"]
    assert 1 <= len(asked) <= looked + 1
