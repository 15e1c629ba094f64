"""The checks of a worker: the registry's validators over its sandbox. Must not know any validator by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.ports import Heartbeat, Sandbox
from tasks.types import CheckSpec, Verdict
from tasks.validators import registry


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredChecks:
    """Implements `Checks` with the validators that are installed here."""

    sandbox: Sandbox

    def examine(self, checks: Sequence[CheckSpec]) -> None:
        """As the port has it."""
        registry.examine(checks)

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        """As the port has it: the held-out checks only where every visible one passed."""
        return registry.validate(candidate, checks, self.sandbox, heartbeat)

    def behaviour(
        self, candidate: str, checks: Sequence[CheckSpec], inputs: Sequence[str], heartbeat: Heartbeat
    ) -> str | None:
        """As the port has it."""
        return registry.behaviour(candidate, checks, inputs, self.sandbox, heartbeat)

    def grade(self, verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> tuple[float, bool]:
        """As the port has it."""
        return registry.score(verdicts, checks), registry.accepted(verdicts, checks)
