"""Model calls that survive a crash: found in the journal, or made, guarded and committed. Over ports only."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tasks.crashpoints import CrashPoint, passing
from tasks.errors import ContextExceeded
from tasks.ports import Admission, ChatModel, Heartbeat, Ledger
from tasks.prompts.fitting import Build, fit
from tasks.prompts.layout import WHOLE
from tasks.types import CallKey, ChatRequest, Claim, Completion, Cut, Message, Operator, RequestSize

# The recovery ladder of a degenerate answer: as asked; another seed, warmer; and with a shorter window too.
ATTEMPTS = 3
WARMER = 0.2
# Room that is kept free for the chat template's own tokens.
TEMPLATE_TOKENS = 32
# Of the room for a window, where the server says that it was too long.
SHORTER = (2, 4, 8)
# Of the ladder's last attempt.
HALVED = Cut(ground=1, rest=1)
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
    thinking_tokens: int = 0

    def room(self, operator: Operator) -> int:
        """Tokens that an answer to such a call may have."""
        match operator:
            case Operator.REVIEW | Operator.JUDGE:
                return self.review_tokens
            case Operator.DISTIL:
                return self.lesson_tokens
            case _:
                return self.answer_tokens

    def thoughts(self, operator: Operator) -> int:
        """Tokens that a model may think before such a call's answer. A lesson is three lines about what is known."""
        return 0 if operator is Operator.DISTIL else self.thinking_tokens


class NoAdmission:
    """Implements `Admission` for an engine that nobody spares."""

    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> AbstractContextManager[None]:
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
        build: Build,
        heartbeat: Heartbeat,
        *,
        attempts: int = ATTEMPTS,
        choices: tuple[str, ...] = (),
    ) -> Completion:
        """One answer for `key`, whose attempt is where the ladder begins; at most `attempts` calls.

        `build(cut)` gives the prompt, which is cut where the model's context is too small for it. A model that thinks
        does so before free text, never before a choice, and no more once its thoughts left no answer. The answer of
        the last attempt may still carry its guard: then it is degenerate and nothing may be built on it.
        With `choices` the answer is one of them, chosen without chance, in at most `CHOICE_TOKENS`.
        Raises `LimitReached` before a call that the budget can't pay, `PromptTooLong`, `EngineFault`, and what
        `heartbeat` raises.
        """
        made: Completion | None = None
        thinking = 0 if choices else self.sampling.thoughts(key.operator)
        for attempt in range(key.attempt, key.attempt + attempts):
            tried = dataclasses.replace(key, attempt=attempt)
            again = attempt - key.attempt
            least = HALVED if again == ATTEMPTS - 1 else WHOLE
            request = self._request(tried, seed, build(least), again > 0, choices)
            request = dataclasses.replace(request, thinking_tokens=thinking)
            made = self._once(claim, tried, request, build, least, heartbeat)
            lost_in_thought = bool(made.reasoning) and not made.text.strip()
            if made.guard is None and not lost_in_thought:
                break
            thinking = 0 if lost_in_thought else thinking
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

    def _once(
        self, claim: Claim, key: CallKey, request: ChatRequest, build: Build, least: Cut, heartbeat: Heartbeat
    ) -> Completion:
        """The journal's answer, or a new one. The hash is that of the prompt before it is cut to a model: what stands
        in the journal is found again by a worker whose model has another context, or whose tokenizer is away."""
        hashed = prompt_hash(request)
        found = self.ledger.find_call(claim, key, hashed)
        if found is not None:
            return found
        heartbeat.checkpoint()
        request, prompt = self._fitted(request, build, least)
        space = RequestSize(messages=request.messages, prompt_tokens=prompt, completion_tokens=_made(request))
        with self.admission.admit(space, heartbeat):
            self.ledger.reserve(claim, key, space.prompt_tokens + space.completion_tokens)
            passing(CrashPoint.RESERVED)
            with heartbeat.calling(key) as call:
                request, made = self._complete(request, build, least, call)
                passing(CrashPoint.CALL_MADE)
                self.ledger.commit_call(claim, key, request, hashed, made)
        passing(CrashPoint.CALL_COMMITTED)
        return made

    def _complete(
        self, request: ChatRequest, build: Build, least: Cut, heartbeat: Heartbeat
    ) -> tuple[ChatRequest, Completion]:
        """The request as it was answered. A server that counts more than it says, or has no tokenizer, is asked in ever
        shorter windows."""
        for share in SHORTER:
            try:
                return request, self.model.complete(request, heartbeat)
            except ContextExceeded:
                request, _ = self._fitted(request, build, least, share)
        return request, self.model.complete(request, heartbeat)

    def _fitted(self, request: ChatRequest, build: Build, least: Cut, share: int = 1) -> tuple[ChatRequest, int]:
        """The request with its window in one `share`th of the room, and the tokens of its prompt."""
        space = self.model.context_tokens - TEMPLATE_TOKENS
        messages, prompt = fit(
            build,
            self.model.count_tokens,
            room=(space - _made(request)) // share,
            prefix_room=(space - self.sampling.answer_tokens - self.sampling.thinking_tokens) // 2 // share,
            least=least,
        )
        return dataclasses.replace(request, messages=tuple(messages)), prompt


def prompt_hash(request: ChatRequest) -> str:
    """SHA-256, in hex, of the canonical JSON of the messages and the sampling. Whether it thinks is the model's."""
    told = dataclasses.asdict(request)
    del told["thinking_tokens"]
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _made(request: ChatRequest) -> int:
    """Tokens of thoughts and answer, at most."""
    return request.max_tokens + request.thinking_tokens


def call_seed(seed: int, key: CallKey) -> int:
    """A seed in [0, 2^31) that is a function of the job's seed and the call's key, so that a run can be repeated."""
    named = f"{seed}:{key.iteration}:{key.operator}:{key.slot}:{key.attempt}"
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:4], "big") >> 1
