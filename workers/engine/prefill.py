"""Requests with one prompt that are sent together, to an engine whose sequences don't share a prefix by themselves: the
first has the prompt read, the others wait for copies of what was read. It must not know how an engine is called.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from tasks.errors import EngineFault
from tasks.ports import Admission, Heartbeat
from tasks.types import Message, RequestSize

log = structlog.get_logger()

# A shorter prompt is read in the time that its copies take: some steps of the engine.
LEAST_TOKENS = 256
POLL_SECONDS = 0.25


class PromptSlots(Protocol):
    """The slots of an engine: each holds the KV of the last prompt that was read in it."""

    def read(self, size: RequestSize, heartbeat: Heartbeat) -> int:
        """Reads the prompt into a slot, and returns the slot's number. Raises `EngineFault`, and what
        `heartbeat.check()` raises: then the engine has stopped reading."""

    def copy(self, slot: int, copies: int) -> None:
        """Copies what a slot holds into so many idle ones, or into all that there are. Raises `EngineFault`."""


@dataclass(slots=True)
class _Group:
    """Requests with one prompt: how many wait for the first one's, and whether they still have to."""

    waiting: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


class SharedPrefill:
    """Implements `Admission` around another: what that admits waits, inside, for a prefill that it can share.

    A fault costs the requests nothing but the sharing: each then reads its prompt itself.
    """

    def __init__(self, admission: Admission, slots: PromptSlots) -> None:
        self._admission, self._slots = admission, slots
        self._changing = threading.Lock()
        self._groups: dict[tuple[Message, ...], _Group] = {}

    @contextmanager
    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> Iterator[None]:
        """See `Admission.admit`."""
        with self._admission.admit(space, heartbeat):
            if worth_sharing(space):
                self._share(space, heartbeat)
            yield

    def _share(self, space: RequestSize, heartbeat: Heartbeat) -> None:
        with self._changing:
            group = self._groups.get(space.messages)
            if group is not None:
                group.waiting += 1
            else:
                first = self._groups[space.messages] = _Group()
        if group is not None:
            _wait(group, heartbeat)
            return
        try:
            slot = self._slots.read(space, heartbeat)
            with self._changing:
                copies = first.waiting
            if copies:
                self._slots.copy(slot, copies)
        except EngineFault as fault:
            log.info("requests with one prompt read it each for itself", why=str(fault))
        finally:
            with self._changing:
                del self._groups[space.messages]
            first.ended.set()


def worth_sharing(space: RequestSize) -> bool:
    """Whether others are sent with this request, and their prompt is long. One with attachments is left alone: what
    they are in tokens is known to the client alone."""
    attached = any(message.attachments for message in space.messages)
    return space.together > 1 and space.prompt_tokens >= LEAST_TOKENS and not attached


def _wait(group: _Group, heartbeat: Heartbeat) -> None:
    while not group.ended.wait(POLL_SECONDS):
        heartbeat.checkpoint()
        heartbeat.beat()  # waiting for one that makes progress is no hang
