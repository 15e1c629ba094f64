"""Claim, lease, fence, journal, wake-up and outbox as a small model, all of whose interleavings are visited.

Two workers, one reaper, one relay, one job of two iterations. Faults are bounded (crashes, pauses, lost and doubled
messages); everything else may happen in any order. The search is exhaustive within those bounds: it ends when no new
state is found. Each of the five safeguards can be left out, and then the search must find what breaks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

ITERATIONS = 2


@dataclass(frozen=True, slots=True)
class Worker:
    """`epoch` is the one it believes to hold (0: none); `answer` that it has an answer in hand, not yet journalled;
    `answered` that it went on from one; `effect` that it owes a side effect (where there is no outbox)."""

    woken: bool = False
    epoch: int = 0
    iteration: int = 0
    answer: bool = False
    answered: bool = False
    paused: bool = False
    effect: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """The database (first block), the queue, the workers, what faults are left, and what the properties look at."""

    epoch: int = 0
    holder: int | None = None
    expired: bool = False
    journal: tuple[bool, ...] = (False,) * ITERATIONS
    recorded: int = 0
    outbox: bool = False
    queue: int = 1  # the submission's own wake-up
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    crashes: int = 1
    pauses: int = 1
    losses: int = 1
    doubles: int = 1
    faultless: bool = True
    records: tuple[int, ...] = (0,) * ITERATIONS
    calls: tuple[int, ...] = (0,) * ITERATIONS
    passed: tuple[bool, ...] = (False,) * ITERATIONS  # a worker went on from an answer to this iteration
    delivered: bool = False

    @property
    def done(self) -> bool:
        return self.recorded == ITERATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Safeguards:
    fence: bool = True
    renewal: bool = True
    journal: bool = True
    top_up: bool = True
    outbox: bool = True


class Broken(Exception):
    """A property does not hold."""


def at(values: tuple, index: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (*values[:index], value, *values[index + 1 :])


def put(world: World, index: int, worker: Worker, **changes: object) -> World:
    return replace(world, workers=at(world.workers, index, worker), **changes)  # type: ignore[arg-type]


def healthy_steps(world: World, guards: Safeguards) -> Iterator[World]:
    """What happens without any fault: relay, reaper, delivery of wake-ups and effects, and the workers' turns."""
    claimable = not world.done and world.holder is None
    if guards.top_up and claimable and world.queue == 0:
        yield replace(world, queue=1)
    if world.expired:
        yield replace(world, holder=None, expired=False, epoch=world.epoch + 1)
    if world.holder is not None and not world.expired:
        held = world.workers[world.holder]
        alive = held.epoch == world.epoch and not held.paused
        if not alive or not guards.renewal:
            yield replace(world, expired=True)
    if world.outbox:
        yield replace(world, delivered=True)  # and the relay may die before it says so: delivered again
        yield replace(world, delivered=True, outbox=False)
    for index, worker in enumerate(world.workers):
        if not worker.paused:
            yield from turn(world, index, worker, guards)


def turn(world: World, index: int, worker: Worker, guards: Safeguards) -> Iterator[World]:
    if worker.effect:
        yield put(world, index, replace(worker, effect=False), delivered=True)
        return
    if worker.epoch == 0:
        if not worker.woken and world.queue:
            yield put(world, index, replace(worker, woken=True), queue=world.queue - 1)
        elif worker.woken and not world.done and world.holder is None:
            now = world.epoch + 1
            journalled = guards.journal and world.journal[world.recorded]
            took = Worker(epoch=now, iteration=world.recorded, answered=journalled)
            yield put(world, index, took, epoch=now, holder=index)
        elif worker.woken:
            yield put(world, index, Worker())
        return
    number = worker.iteration
    stale = world.epoch != worker.epoch or world.holder != index
    if not worker.answer and not worker.answered:
        if world.passed[number] and not stale:  # a stale worker that wakes up may waste one, which is thrown away
            raise Broken("a call was made again whose answer somebody had gone on from")
        if world.faultless and world.calls[number]:
            raise Broken("a call was made twice though nothing failed")
        calls = at(world.calls, number, min(2, world.calls[number] + 1))
        yield put(world, index, replace(worker, answer=True), calls=calls)
    elif guards.fence and stale:
        yield put(world, index, Worker())  # refused: the work is thrown away
    elif worker.answer:
        went_on = replace(worker, answer=False, answered=True)
        passed = at(world.passed, number, True)
        yield put(world, index, went_on, journal=at(world.journal, number, True), passed=passed)
    else:
        if stale:
            raise Broken("a stale epoch was written")
        records = at(world.records, number, world.records[number] + 1)
        if records[number] > 1:
            raise Broken("an iteration was recorded twice")
        last = number + 1 == ITERATIONS
        notified = min(2, world.queue + 1) if guards.top_up and not last else world.queue
        yield put(
            world,
            index,
            Worker(effect=last and not guards.outbox),
            holder=None,
            recorded=number + 1,
            records=records,
            outbox=last and guards.outbox,
            queue=notified if last or guards.top_up else min(2, world.queue + 1),
        )


def faults(world: World) -> Iterator[World]:
    if world.losses and world.queue:
        yield replace(world, losses=world.losses - 1, queue=world.queue - 1, faultless=False)
    if world.doubles and 0 < world.queue < 2:
        yield replace(world, doubles=world.doubles - 1, queue=world.queue + 1)
    for index, worker in enumerate(world.workers):
        if world.crashes and worker != Worker():
            yield put(world, index, Worker(), crashes=world.crashes - 1, faultless=False)
        if world.pauses and not worker.paused and worker.epoch:
            yield put(world, index, replace(worker, paused=True), pauses=world.pauses - 1, faultless=False)
        if worker.paused:
            yield put(world, index, replace(worker, paused=False))


def explore(guards: Safeguards) -> int:
    """Visits every state; returns how many there are. Raises `Broken`."""
    first = World()
    healthy: dict[World, list[World]] = {}
    waiting = deque([first])
    seen = {first}
    while waiting:
        world = waiting.popleft()
        healthy[world] = list(healthy_steps(world, guards))
        for following in (*healthy[world], *faults(world)):
            if following.epoch <= 8 and following not in seen:
                seen.add(following)
                waiting.append(following)
    _can_always_end(healthy)
    return len(seen)


def _can_always_end(healthy: dict[World, list[World]]) -> None:
    """From every state the job can still be ended and its effect delivered with no further fault (a paused worker
    may sleep for ever)."""
    before: dict[World, list[World]] = {}
    for world, following in healthy.items():
        for one in following:
            before.setdefault(one, []).append(world)
    ended = [world for world in healthy if world.done and world.delivered]
    good = set(ended)
    while ended:
        for world in before.get(ended.pop(), ()):
            if world not in good:
                good.add(world)
                ended.append(world)
    # States at the bound of the search have successors that were not visited.
    for world in healthy:
        if world not in good and world.epoch < 7:
            raise Broken("a state from which the job never ends, or its effect is lost")


def test_every_interleaving_keeps_the_promises() -> None:
    assert explore(Safeguards()) > 1_000


@pytest.mark.parametrize("left_out", ["fence", "renewal", "journal", "top_up", "outbox"])
def test_the_search_finds_what_breaks_without_each_safeguard(left_out: str) -> None:
    with pytest.raises(Broken):
        explore(Safeguards(**{left_out: False}))
