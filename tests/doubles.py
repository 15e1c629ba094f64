"""What several tests put in the place of the real thing."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from tasks.errors import LimitReached, ShuttingDown
from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Heartbeat
from tasks.types import (
    CallKey,
    ChatRequest,
    CheckSpec,
    Claim,
    Completion,
    Grant,
    Omission,
    SandboxJob,
    SandboxResult,
    Verdict,
)
from tasks.validators import registry


class Killed(BaseException):
    """Stands for kill -9: nothing of ours catches it."""


class NoSandbox:
    """For checks that need none."""

    def run(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        raise AssertionError("the sandbox was asked for")


class ExecutedChecks:
    """Checks of programs without a sandbox, for what a scripted model writes: each is an expression over the names that
    the program defines, true where it passes."""

    def examine(self, checks: Sequence[CheckSpec]) -> None:
        pass

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        return tuple(self._verdict(candidate, check) for check in checks)

    def behaviour(
        self, candidate: str, checks: Sequence[CheckSpec], inputs: Sequence[str], heartbeat: Heartbeat
    ) -> str | None:
        return " ".join(str(eval(call, _names_of(candidate))) for call in inputs) if inputs else None

    def grade(self, verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> tuple[float, bool]:
        return registry.score(verdicts, checks), registry.accepted(verdicts, checks)

    def _verdict(self, candidate: str, check: CheckSpec) -> Verdict:
        passed = bool(eval(check.value, _names_of(candidate)))
        feedback = "" if passed else f"{check.value} is false"
        held_out = check.held_out
        return Verdict(
            check=check.name, kind=check.kind, passed=passed, score=float(passed), held_out=held_out, feedback=feedback
        )


def _names_of(program: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(program, names)
    return names


class Draining(SilentHeartbeat):
    """A heartbeat that stops the step at its n-th checkpoint, and nowhere else."""

    def __init__(self, after: int) -> None:
        self._left = after

    def checkpoint(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ShuttingDown("worker w is shutting down")


class Death:
    """Comes at the n-th write, counted from 0 over all the ledgers that share it: before it, or `after` it is done.
    `at` names that write once it has come. With `only` the other writes are safe and not counted."""

    def __init__(self, nth: int, *, after: bool, only: Collection[str] = ()) -> None:
        self.at = ""
        self._only = only
        self._left, self._after, self._lock = nth, after, threading.Lock()

    def meet(self, name: str, write: Any, *args: Any, **keywords: Any) -> Any:
        """What the write gives back, for one who survives it."""
        if self._only and name not in self._only:
            return write(*args, **keywords)
        with self._lock:
            fatal, self._left = self._left == 0, self._left - 1
        if not fatal:
            return write(*args, **keywords)
        self.at = name
        if self._after:
            write(*args, **keywords)
        raise Killed


class Mortal:
    """A ledger whose writes may be the last; what only reads is safe."""

    def __init__(self, ledger: object, death: Death) -> None:
        self._ledger, self._death = ledger, death

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        return method if name in ("load", "refresh", "find_call", "find") else partial(self._death.meet, name, method)


class Journal:
    """The part of a ledger that calls use, in memory; raises at the call number `limit`."""

    def __init__(self, limit: int = 10_000) -> None:
        self.calls: dict[CallKey, tuple[ChatRequest, str, Completion]] = {}
        self.omissions: dict[CallKey, tuple[Omission, ...]] = {}
        self._limit = limit

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> Completion | None:
        found = self.calls.get(key)
        assert found is None or found[1] == prompt_hash
        return found[2] if found else None

    def reserve(self, claim: Claim, key: CallKey, tokens: int, completion_tokens: int = 0) -> Grant:
        if len(self.calls) >= self._limit:
            raise LimitReached("tokens", 1, 1)
        return Grant(completion_tokens=completion_tokens)

    def commit_call(
        self,
        claim: Claim,
        key: CallKey,
        request: ChatRequest,
        prompt_hash: str,
        made: Completion,
        *,
        omissions: Sequence[Omission] = (),
    ) -> None:
        assert key not in self.calls
        self.calls[key] = request, prompt_hash, made
        self.omissions[key] = tuple(omissions)
