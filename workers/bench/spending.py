"""What a replayed run has spent: a ledger of calls in memory, with a budget of completion tokens."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tasks.errors import JournalMismatch, LimitReached
from tasks.types import CallKey, ChatRequest, Claim, Completion, Grant, Omission


class Spending:
    """Implements `tasks.ports.CallLedger`. No call is begun when the budget is spent, and the last is given
    what is left of it. Safe to share between the threads of an iteration."""

    def __init__(self, tokens: int) -> None:
        self.prompt_tokens = self.completion_tokens = self.calls = self.degenerate = 0
        self.seconds = 0.0
        self._budget, self._reserved, self._lock = tokens, dict[CallKey, int](), threading.Lock()

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> Completion | None:
        """Nothing is journalled: a replay is never resumed within a run."""
        return None

    def set_aside(self, claim: Claim, key: CallKey, mismatch: JournalMismatch) -> None:
        """Never needed."""
        raise mismatch

    def reserve(self, claim: Claim, key: CallKey, tokens: int, completion_tokens: int = 0) -> Grant:
        """What the call may take. Raises `LimitReached` where none are left."""
        with self._lock:
            left = self._budget - self.completion_tokens - sum(self._reserved.values())
            if left <= 0:
                raise LimitReached("completion_tokens", self.completion_tokens, self._budget)
            self._reserved[key] = min(completion_tokens, left)
            return Grant(completion_tokens=self._reserved[key])

    def commit_call(
        self,
        claim: Claim,
        key: CallKey,
        request: ChatRequest,
        prompt_hash: str,
        completion: Completion,
        *,
        omissions: Sequence[Omission] = (),
    ) -> None:
        """Settles the call's reservation."""
        self.settle(
            key,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            seconds=completion.seconds,
            degenerate=completion.guard is not None,
        )

    def settle(
        self, key: CallKey, *, prompt_tokens: int, completion_tokens: int, seconds: float, degenerate: bool
    ) -> None:
        """A call has ended."""
        with self._lock:
            del self._reserved[key]
            self.prompt_tokens += prompt_tokens
            self.completion_tokens += completion_tokens
            self.seconds += seconds
            self.calls += 1
            self.degenerate += degenerate
