"""Requests with one prompt: the first has it read, the others wait for copies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tasks.errors import Cancelled, EngineFault
from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Heartbeat
from tasks.types import Attachment, Message, RequestSize
from workers.engine.prefill import LEAST_TOKENS, SharedPrefill

SLOT = 5


def size(text: str = "a problem", *, together: int = 4, prompt: int = LEAST_TOKENS) -> RequestSize:
    messages = (Message(role="user", content=text),)
    return RequestSize(messages=messages, prompt_tokens=prompt, completion_tokens=100, together=together)


class Inner:
    """Admits at once, and knows whom."""

    def __init__(self) -> None:
        self.inside = 0

    @contextmanager
    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> Iterator[None]:
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


class Slots:
    """Has read a prompt when `may_end` is set; fails where a test says so."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault, self.may_end, self.reads = fault, threading.Event(), threading.Semaphore(0)
        self.read_by, self.copied = list[RequestSize](), list[tuple[int, int]]()

    def read(self, space: RequestSize, heartbeat: Heartbeat) -> int:
        self.read_by.append(space)
        self.reads.release()
        assert self.may_end.wait(30)
        if self.fault is not None:
            raise self.fault
        return SLOT

    def copy(self, slot: int, copies: int) -> None:
        self.copied.append((slot, copies))


class Counted(SilentHeartbeat):
    """Counts beats; `expected` is set once there is one."""

    def __init__(self) -> None:
        self.waits = threading.Event()

    def beat(self, tokens: int = 0) -> None:
        self.waits.set()


class Impatient(SilentHeartbeat):
    def check(self) -> None:
        raise Cancelled("enough")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


class Run:
    """`others` requests that wait for a first one, which reads."""

    def __init__(self, pool: ThreadPoolExecutor, slots: Slots, others: int = 3) -> None:
        self.slots, self.inner, self.sent = slots, Inner(), threading.Semaphore(0)
        self.gate = SharedPrefill(self.inner, slots)
        self.futures: list[Future[None]] = [pool.submit(self.request, SilentHeartbeat())]
        assert slots.reads.acquire(timeout=30)
        heartbeats = [Counted() for _ in range(others)]
        self.futures += [pool.submit(self.request, heartbeat) for heartbeat in heartbeats]
        assert all(heartbeat.waits.wait(30) for heartbeat in heartbeats)

    def request(self, heartbeat: Heartbeat) -> None:
        with self.gate.admit(size(), heartbeat):
            self.sent.release()

    def end(self) -> None:
        self.slots.may_end.set()
        for future in self.futures:
            future.result(30)


def test_one_reads_the_prompt_and_as_many_copies_are_made_as_others_wait(pool: ThreadPoolExecutor) -> None:
    slots = Slots()
    run = Run(pool, slots)
    assert (run.inner.inside, run.sent.acquire(blocking=False)) == (4, False)
    run.end()
    assert (len(slots.read_by), slots.copied) == (1, [(SLOT, 3)])
    assert run.inner.inside == 0


def test_one_that_stays_alone_needs_no_copy(pool: ThreadPoolExecutor) -> None:
    slots = Slots()
    Run(pool, slots, others=0).end()
    assert (len(slots.read_by), slots.copied) == (1, [])


def test_an_engine_that_cannot_lets_each_read_for_itself(pool: ThreadPoolExecutor) -> None:
    slots = Slots(EngineFault("no slots here"))
    run = Run(pool, slots)
    run.end()
    assert slots.copied == []
    assert all(run.sent.acquire(blocking=False) for _ in range(4))


def test_one_that_is_stopped_while_it_reads_lets_the_others_go(pool: ThreadPoolExecutor) -> None:
    slots = Slots(Cancelled("enough"))
    run = Run(pool, slots)
    slots.may_end.set()
    with pytest.raises(Cancelled):
        run.futures[0].result(30)
    for other in run.futures[1:]:
        other.result(30)
    assert run.inner.inside == 0


def test_one_that_is_stopped_while_it_waits_leaves(pool: ThreadPoolExecutor) -> None:
    slots = Slots()
    run = Run(pool, slots)
    with pytest.raises(Cancelled), run.gate.admit(size(), Impatient()):
        pytest.fail("it was sent")
    run.end()


def test_a_later_request_with_the_prompt_begins_anew(pool: ThreadPoolExecutor) -> None:
    slots = Slots()
    run = Run(pool, slots)
    run.end()
    run.request(SilentHeartbeat())
    assert len(slots.read_by) == 2


IMAGE = Attachment(name="a.png", media_type="image/png", sha256="0" * 64, bytes=1)
PICTURED = RequestSize(
    messages=(Message(role="user", content="?", attachments=(IMAGE,)),),
    prompt_tokens=LEAST_TOKENS,
    completion_tokens=1,
    together=4,
)


@pytest.mark.parametrize("alone", [size(together=1), size(prompt=LEAST_TOKENS - 1), PICTURED])
def test_what_is_sent_alone_or_is_short_or_has_pictures_is_left_alone(alone: RequestSize) -> None:
    slots, inner = Slots(), Inner()
    with SharedPrefill(inner, slots).admit(alone, SilentHeartbeat()):
        assert inner.inside == 1
    assert slots.read_by == []
