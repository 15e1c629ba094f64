"""What one worker's link to a service can suffer."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.fleet import Part


def cut_off(worker: Part, service: str) -> Iterator[int]:
    """The link refuses; open connections end."""
    yield max(1, worker.links[service].refuse(True))
    worker.links[service].refuse(False)
