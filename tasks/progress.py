"""How a turn tells where it stands; and the twin of a turn that nobody watches. Must not know who listens."""

from __future__ import annotations

from typing import Protocol

from tasks.types import TurnReport


class Progress(Protocol):
    """Whoever is told where a turn stands."""

    def report(self, report: TurnReport) -> None:
        """The turn has come to another step. Never waits and never raises."""

    def ended(self, said: str, *, failed: bool) -> None:
        """The turn ends otherwise than by what was reported last, and how; `failed`: by a fault, or the job did. Never
        waits and never raises."""


class NoProgress:
    """Implements `Progress`: nobody is told."""

    def report(self, report: TurnReport) -> None:
        """Nobody is told."""

    def ended(self, said: str, *, failed: bool) -> None:
        """Nobody is told."""


NO_PROGRESS = NoProgress()
