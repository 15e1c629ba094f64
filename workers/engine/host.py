"""What a worker needs of whatever hosts its model."""

from __future__ import annotations

from typing import Protocol

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
    def ready(self) -> bool:
        """Whether it answers, canary included: the worker takes work only then."""

    def start(self) -> None:
        """Returns when it is ready. Raises `PartFailed`, `EngineFault` or `InvalidInput` with the likely cause."""

    def stop(self) -> None:
        """Leaves nothing running."""

    def describe(self) -> str:
        """Version and settings, recorded with every call."""
