"""What a worker needs of whatever hosts its model, and the twin of a worker that needs none."""

from __future__ import annotations

import os
import threading
from typing import Protocol

from tasks.errors import EngineFault
from tasks.llm.capabilities import Capabilities
from workers.engine.profiles import Serving


class ModelHost(Protocol):
    """An engine of ours, or an endpoint of somebody else's."""

    @property
    def profile(self) -> Serving:
        """How the model is to be used; of an endpoint known only once it has started."""

    @property
    def url(self) -> str:
        """Ends in /v1. Stays the same while this host lives, whatever is started again behind it."""

    @property
    def model(self) -> str:
        """The name that requests carry."""

    @property
    def sequences(self) -> int:
        """How many requests it batches at once; 0 where it doesn't say."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can beyond plain chat; of an endpoint known only once it has started."""

    @property
    def ready(self) -> bool:
        """Whether it answers, canary included: the worker takes work only then."""

    def start(self) -> None:
        """Returns when it is ready. Raises `PartFailed`, `EngineFault` or `InvalidInput` with the likely cause."""

    def watch(self, stop: threading.Event) -> None:
        """A background task, after `start`: keeps `ready` true to the facts until `stop`. It is not ready afterwards,
        however this ends."""

    def stop(self) -> None:
        """Leaves nothing running."""

    def describe(self) -> str:
        """Version and settings, recorded with every call."""


class NoEngine:
    """Implements `ModelHost` for a worker of checks or of the cloud: no engine is chosen, started or asked."""

    url = ""
    model = ""
    sequences = 0
    capabilities = Capabilities()
    ready = False

    def __init__(self) -> None:
        # Checks take a core each; what waits for the cloud takes none, and goes with them.
        slots = max(2, os.cpu_count() or 1)
        self.profile = Serving(
            name="none", max_model_len=2, width=1, slots=slots, max_answer_tokens=1, max_review_tokens=1
        )

    def start(self) -> None:
        """Raises `EngineFault`: nobody may need an engine here."""
        raise EngineFault("this worker serves no lane of an engine")

    def watch(self, stop: threading.Event) -> None:
        """Nothing changes."""
        stop.wait()

    def stop(self) -> None:
        """Nothing runs."""

    def describe(self) -> str:
        """For the journal, which it never reaches."""
        return "no engine"
