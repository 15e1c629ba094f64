"""What a worker needs from the host of its model, and a no-op host for a worker without a model."""

from __future__ import annotations

import os
import threading
from typing import Protocol

from tasks.errors import EngineFault
from tasks.llm.capabilities import Capabilities
from tasks.taskrecords import NO_RECORD, TaskRecord
from workers.engine.load import EngineLoad
from workers.engine.outage import Outage
from workers.engine.prefill import PromptSlots
from workers.engine.profiles import Profile, Serving


class ModelHost(Protocol):
    """An engine that Redraft starts, or an endpoint that somebody else runs."""

    @property
    def profile(self) -> Serving:
        """How to use the model; for an endpoint known only after `start`."""

    @property
    def url(self) -> str:
        """Ends in /v1. Stays the same as long as this host lives, even if its engine is restarted."""

    @property
    def model(self) -> str:
        """The model's name in requests."""

    @property
    def sequences(self) -> int:
        """How many requests it batches at once; 0 where it doesn't report it."""

    @property
    def capabilities(self) -> Capabilities:
        """What it supports beyond plain chat; for an endpoint known only after `start`."""

    @property
    def ready(self) -> bool:
        """Whether it answers, canary included: the worker takes work only then."""

    @property
    def outage(self) -> Outage | None:
        """Why it does not answer, as long as it is watched and does not; None where it does."""

    @property
    def restarts(self) -> int:
        """How often this process has started it again."""

    @property
    def slots(self) -> PromptSlots | None:
        """What copies a prompt from one sequence to others, after `start`; None where they share it by themselves, or
        can't."""

    def load(self) -> EngineLoad | None:
        """What it reports of its load; None where it doesn't."""

    def start(self) -> None:
        """Returns when it is ready. Raises `PartFailed`, `EngineFault` or `InvalidInput` with the likely cause."""

    def watch(self, stop: threading.Event, record: TaskRecord = NO_RECORD) -> None:
        """A background task, after `start`: keeps `ready` true to the facts until `stop`. It is not ready afterwards,
        however this ends. To `record` a look at it is a success, whatever it finds."""

    def stop(self) -> None:
        """Ends what `start` started."""

    def describe(self) -> str:
        """Version and settings, recorded with every call."""


def model_names(host: ModelHost) -> frozenset[str]:
    """The names that a job may call the host's model by: the one in requests, its profile's, its family's."""
    family = host.profile.family if isinstance(host.profile, Profile) else ""
    return frozenset({host.model, host.profile.name, family} - {""})


class NoEngine:
    """Implements `ModelHost` for a worker that serves only checks or the cloud, and needs no engine."""

    url = ""
    model = ""
    sequences = 0
    capabilities = Capabilities()
    slots = None
    outage = None
    restarts = 0
    ready = False

    def __init__(self) -> None:
        # Each check takes a core; turns that wait for the cloud take none.
        slots = max(2, os.cpu_count() or 1)
        self.profile = Serving(
            name="none", max_model_len=2, width=1, slots=slots, max_answer_tokens=1, max_review_tokens=1
        )

    def load(self) -> EngineLoad | None:
        """Nothing to report."""
        return None

    def start(self) -> None:
        """Raises `EngineFault`: this worker must not need an engine."""
        raise EngineFault("this worker serves no lane of an engine")

    def watch(self, stop: threading.Event, record: TaskRecord = NO_RECORD) -> None:
        """Nothing changes."""
        stop.wait()

    def stop(self) -> None:
        """Does nothing."""

    def describe(self) -> str:
        """See `ModelHost.describe`; never used."""
        return "no engine"
