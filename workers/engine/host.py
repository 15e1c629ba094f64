"""What a worker needs of whatever hosts its model."""

from __future__ import annotations

from typing import Protocol

from workers.engine.profiles import Profile


class ModelHost(Protocol):
    """An engine of ours, or an endpoint of somebody else's."""

    profile: Profile
    url: str  # ends in /v1
    model: str

    @property
    def ready(self) -> bool:
        """Whether it answers, canary included: the worker takes work only then."""

    def start(self) -> None:
        """Returns when it is ready. Raises `PartFailed` or `EngineFault` with the likely cause."""

    def stop(self) -> None:
        """Leaves nothing running."""

    def describe(self) -> str:
        """Version and settings, recorded with every call."""
