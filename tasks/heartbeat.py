"""The heartbeat of a step that holds no lease: the twin of a worker's, for tests, benches and the doctor."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from tasks.types import CallKey


class SilentHeartbeat:
    """Implements `tasks.ports.Heartbeat`: nobody listens, and nothing ever has to stop."""

    def beat(self, tokens: int = 0) -> None:
        """Nobody listens."""

    def expect_silence(self, seconds: float) -> None:
        """Nobody listens."""

    def check(self) -> None:
        """Nothing ever has to stop."""

    def checkpoint(self) -> None:
        """As `check`."""
        self.check()

    def calling(self, key: CallKey) -> AbstractContextManager[SilentHeartbeat]:
        """A call's heartbeat is this one."""
        return nullcontext(self)
