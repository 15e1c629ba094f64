"""What several tests put in the place of the real thing."""

from __future__ import annotations

from tasks.errors import LimitReached
from tasks.ports import Pulse, SandboxJob, SandboxResult
from tasks.types import CallKey, ChatRequest, Claim, Completion


class Killed(BaseException):
    """Stands for kill -9: nothing of ours catches it."""


class NoSandbox:
    """For checks that need none."""

    def run(self, job: SandboxJob, pulse: Pulse) -> SandboxResult:
        raise AssertionError("the sandbox was asked for")


class Journal:
    """The part of a ledger that calls use, in memory; raises at the call number `limit`."""

    def __init__(self, limit: int = 10_000) -> None:
        self.calls: dict[CallKey, tuple[ChatRequest, str, Completion]] = {}
        self._limit = limit

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> Completion | None:
        found = self.calls.get(key)
        assert found is None or found[1] == prompt_hash
        return found[2] if found else None

    def reserve(self, claim: Claim, key: CallKey, tokens: int) -> None:
        if len(self.calls) >= self._limit:
            raise LimitReached("tokens", 1, 1)

    def commit_call(self, claim: Claim, key: CallKey, request: ChatRequest, prompt_hash: str, made: Completion) -> None:
        assert key not in self.calls
        self.calls[key] = request, prompt_hash, made
