"""Jobs followed until they are final: looks at them, and what changed between two. Over callables only: knows no SQL,
no clock but the monotonic one, and nothing of how a job is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from tasks.errors import DatabaseUnavailable
from tasks.store.summaries import JobSummary

# How long a database may be away before a stream gives up: a restart or a failover, not an outage.
PATIENCE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 2.0

# One look: each job as it stood, in the order asked for.
Snapshot = Mapping[int, JobSummary]
Result = TypeVar("Result")


def follow(
    read: Callable[[], Snapshot], pause: Callable[[float], None], *, timeout: float | None, poll_seconds: float
) -> Iterator[Snapshot]:
    """Looks with `read` until every job is final or `timeout` seconds have passed; at least once.

    Between two looks it calls `pause`, with `poll_seconds` at most. Raises what `read` raises.
    """
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        snapshot = read()
        yield snapshot
        left = poll_seconds if until is None else until - time.monotonic()
        if all(job.state.final for job in snapshot.values()) or left <= 0:
            return
        pause(min(poll_seconds, left))


def changes(snapshots: Iterable[Snapshot]) -> Iterator[JobSummary]:
    """Each job when it is first seen, and again whenever more than its tokens and its age has changed."""
    marks: dict[int, object] = {}
    for snapshot in snapshots:
        for job in snapshot.values():
            if marks.get(job.job) != (mark := _mark(job)):
                marks[job.job] = mark
                yield job


class Patient:
    """Repeats a read while the database is away, with backoff, once one has succeeded: a database that was never
    there is an error at once, one that restarts under a stream is not."""

    def __init__(self, seconds: float = PATIENCE_SECONDS, sleep: Callable[[float], None] = time.sleep) -> None:
        self._seconds, self._sleep, self._reached = seconds, sleep, False

    def __call__(self, read: Callable[[], Result]) -> Result:
        """What `read` returns. Raises `DatabaseUnavailable` where it still does after so many seconds."""
        # It brings asyncio and Tornado: too much for a command that reads once.
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

        retrying = Retrying(
            retry=retry_if_exception_type(DatabaseUnavailable),
            wait=wait_exponential_jitter(multiplier=0.1, max=LONGEST_PAUSE_SECONDS, jitter=0.1),
            stop=stop_after_delay(self._seconds if self._reached else 0),
            sleep=self._sleep,
            reraise=True,
        )
        result = retrying(read)
        self._reached = True
        return result


def _mark(job: JobSummary) -> object:
    return job.state, job.iterations, job.operator, job.phase, job.score, job.value, job.worker, job.pause_requested
