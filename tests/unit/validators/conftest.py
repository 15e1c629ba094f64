"""Twins for the validators' unit tests: a heartbeat that counts, a sandbox that answers from a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tasks.ports import Heartbeat
from tasks.types import SandboxJob, SandboxResult


@dataclass
class CountingHeartbeat:
    """Counts; raises `stop` from the check on when it is set."""

    checks: int = 0
    silences: list[float] = field(default_factory=list)
    stop: Exception | None = None

    def beat(self, tokens: int = 0) -> None:
        """Nothing to keep."""

    def expect_silence(self, seconds: float) -> None:
        self.silences.append(seconds)

    def check(self) -> None:
        self.checks += 1
        if self.stop is not None:
            raise self.stop


@dataclass
class ScriptedSandbox:
    """Answers with `answer(job)`; keeps the jobs it was given."""

    answer: Callable[[SandboxJob], SandboxResult]
    jobs: list[SandboxJob] = field(default_factory=list)

    def run(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        heartbeat.check()
        self.jobs.append(job)
        return self.answer(job)

    def run_joined(
        self, job: SandboxJob, other: SandboxJob, heartbeat: Heartbeat
    ) -> tuple[SandboxResult, SandboxResult]:
        """Answers for both, the tests' job first."""
        return self.run(job, heartbeat), self.run(other, heartbeat)


@pytest.fixture
def heartbeat() -> CountingHeartbeat:
    """A heartbeat that never stops anything, until its `stop` is set."""
    return CountingHeartbeat()


@pytest.fixture
def scripted() -> Callable[[Callable[[SandboxJob], SandboxResult]], ScriptedSandbox]:
    """Makes a sandbox that answers from a function."""
    return ScriptedSandbox


@pytest.fixture
def no_sandbox() -> ScriptedSandbox:
    """For checks that must not need one."""

    def refuse(job: SandboxJob) -> SandboxResult:
        raise AssertionError(f"no sandbox should be needed for {job.argv}")

    return ScriptedSandbox(refuse)
