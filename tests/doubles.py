"""What several tests put in the place of the real thing."""

from __future__ import annotations

from tasks.ports import Pulse, SandboxJob, SandboxResult


class Killed(BaseException):
    """Stands for kill -9: nothing of ours catches it."""


class NoSandbox:
    """For checks that need none."""

    def run(self, job: SandboxJob, pulse: Pulse) -> SandboxResult:
        raise AssertionError("the sandbox was asked for")
