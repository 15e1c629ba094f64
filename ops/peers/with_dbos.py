"""DBOS's side: its own dequeue transaction, its workflows and steps, as its documentation sets them up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from dbos import DBOS, DBOSClient, DBOSConfig
from measure import CLAIMERS, drain, main

QUEUE = "bench"
# Its queues are polled, each second by default; who wants a job begun soon asks for more.
POLL_SECONDS = 0.05
_started: dict[int, float] = {}
_told = threading.Event()


@DBOS.workflow()
def note(number: int) -> int:
    """Says when it began to run."""
    _started[number] = time.time()
    _told.set()
    return number


@DBOS.step()
def step(number: int) -> dict[str, int]:
    """A step that does nothing but return what is kept."""
    return {"number": number}


@DBOS.workflow()
def stepping(count: int) -> list[float]:
    """Seconds of each of `count` steps."""
    each = []
    for number in range(count):
        begun = time.perf_counter()
        step(number)
        each.append(time.perf_counter() - begun)
    return each


@contextlib.contextmanager
def launched(url: str) -> Iterator[None]:
    """DBOS with its schema in the database."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url.replace("+psycopg", ""),
        "application_version": "1",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    try:
        yield
    finally:
        DBOS.destroy()


def claims(url: str, count: int) -> dict[str, object]:
    """`count` enqueued workflows, taken one a transaction by the dequeue that its queue threads call."""
    with launched(url):
        pass  # the schema
    client = DBOSClient(system_database_url=url.replace("+psycopg", ""))
    client.register_queue(QUEUE, worker_concurrency=1)
    queue = client.retrieve_queue(QUEUE)
    assert queue is not None
    begun = time.perf_counter()
    for number in range(count):
        client.enqueue({"queue_name": QUEUE, "workflow_name": "note", "app_version": "1"}, number)
    submitted = time.perf_counter() - begun

    def claim(worker: str) -> bool:
        return bool(client._sys_db.start_queued_workflows(queue, worker, "1", None)[0])

    def claimer(worker: str):
        return lambda: claim(worker)

    found = drain([claimer(f"bench-{number}") for number in range(CLAIMERS)])
    client.destroy()
    return {**found, "enqueue": submitted}


def latency(url: str, count: int) -> dict[str, object]:
    """From the call that enqueues to the workflow's first line, one at a time."""
    with launched(url):
        DBOS.register_queue(QUEUE, polling_interval_sec=POLL_SECONDS)
        each = []
        for number in range(count + 1):
            _told.clear()
            begun = time.time()
            DBOS.enqueue_workflow(QUEUE, note, number)
            _told.wait(30)
            each.append(_started[number] - begun)
    return {"seconds": sum(each[1:]), "each": each[1:]}


def steps(url: str, count: int) -> dict[str, object]:
    """`count` steps of one workflow."""
    with launched(url):
        stepping(5)
        each = stepping(count)
    return {"seconds": sum(each), "each": each}


if __name__ == "__main__":
    main({"claims": claims, "steps": steps, "latency": latency})
