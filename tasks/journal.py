"""Model calls that survive a crash: found in the journal, or made, guarded and committed. Over ports only."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tasks.crashpoints import CrashPoint, passing
from tasks.ports import Admission, ChatModel, Ledger, Pulse
from tasks.types import CallKey, ChatRequest, Claim, Completion, Message, Operator
from tasks.window import prompt_hash

# The recovery ladder of a degenerate answer: as asked; another seed, warmer; and with a shorter window too.
ATTEMPTS = 3
WARMER = 0.2
# Room that is kept free for the chat template's own tokens.
TEMPLATE_TOKENS = 32
# Fewer tokens than this are no answer: the window is too full to ask.
LEAST_ANSWER_TOKENS = 64
# One word of a given list, and the end of the text.
CHOICE_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a model is asked. Gemma 4's own card: temperature 1.0, top-p 0.95, top-k 64."""

    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 64
    answer_tokens: int = 4096
    review_tokens: int = 1024
    lesson_tokens: int = 256

    def room(self, operator: Operator) -> int:
        """Tokens that an answer to such a call may have."""
        match operator:
            case Operator.REVIEW | Operator.JUDGE:
                return self.review_tokens
            case Operator.DISTIL:
                return self.lesson_tokens
            case _:
                return self.answer_tokens


class NoAdmission:
    """Implements `Admission` for an engine that nobody spares."""

    def seat(self, tokens: int, pulse: Pulse) -> AbstractContextManager[None]:
        """At once."""
        return nullcontext()


NO_ADMISSION = NoAdmission()


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalledModel:
    """A chat model whose answers are committed before anything is built on them."""

    ledger: Ledger
    model: ChatModel
    sampling: Sampling
    admission: Admission = NO_ADMISSION

    def ask(
        self,
        claim: Claim,
        key: CallKey,
        seed: int,
        build: Callable[[int], Sequence[Message]],
        pulse: Pulse,
        *,
        attempts: int = ATTEMPTS,
        choices: tuple[str, ...] = (),
    ) -> Completion:
        """One answer for `key`, whose attempt is where the ladder begins; at most `attempts` calls.

        `build(shorten)` gives the prompt; `shorten` is 1 where the window must be shorter. The answer of
        the last attempt may still carry its guard: then it is degenerate and nothing may be built on it.
        With `choices` the answer is one of them, chosen without chance, in at most `CHOICE_TOKENS`.
        Raises `LimitReached` before a call that the budget can't pay, `EngineFault`, and what `pulse` raises.
        """
        made: Completion | None = None
        for attempt in range(key.attempt, key.attempt + attempts):
            tried = dataclasses.replace(key, attempt=attempt)
            again = attempt - key.attempt
            messages = build(1 if again == ATTEMPTS - 1 else 0)
            made = self._once(claim, tried, self._request(tried, seed, messages, again > 0, choices), pulse)
            if made.guard is None:
                break
        assert made is not None
        return made

    def _request(
        self, key: CallKey, seed: int, messages: Sequence[Message], warmer: bool, choices: tuple[str, ...]
    ) -> ChatRequest:
        wanted = self.sampling.room(key.operator)
        return ChatRequest(
            messages=tuple(messages),
            temperature=0.0 if choices else self.sampling.temperature + (WARMER if warmer else 0.0),
            top_p=self.sampling.top_p,
            top_k=self.sampling.top_k,
            max_tokens=CHOICE_TOKENS if choices else wanted,
            seed=call_seed(seed, key),
            choices=choices,
        )

    def _once(self, claim: Claim, key: CallKey, request: ChatRequest, pulse: Pulse) -> Completion:
        hashed = prompt_hash(request)
        found = self.ledger.find_call(claim, key, hashed)
        if found is not None:
            return found
        pulse.checkpoint()
        prompt_tokens = self.model.count_tokens(request.messages)
        left = self.model.context_tokens - prompt_tokens - TEMPLATE_TOKENS
        room = min(request.max_tokens, max(LEAST_ANSWER_TOKENS, left))
        with self.admission.seat(prompt_tokens + room, pulse):
            self.ledger.reserve(claim, key, prompt_tokens + room)
            passing(CrashPoint.RESERVED)
            with pulse.calling(key) as call:
                made = self.model.complete(dataclasses.replace(request, max_tokens=room), call)
                passing(CrashPoint.CALL_MADE)
                self.ledger.commit_call(claim, key, request, hashed, made)
        passing(CrashPoint.CALL_COMMITTED)
        return made


def call_seed(seed: int, key: CallKey) -> int:
    """A seed in [0, 2^31) that is a function of the job's seed and the call's key, so that a run can be repeated."""
    named = f"{seed}:{key.iteration}:{key.operator}:{key.slot}:{key.attempt}"
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:4], "big") >> 1
