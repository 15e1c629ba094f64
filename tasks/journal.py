"""Model calls that survive a crash: found in the journal, or reserved, made and committed. Over ports only; must not
know what a prompt says, nor when an answer is good enough."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tasks.crashpoints import CrashPoint, passing
from tasks.deadline import DEADLINE
from tasks.errors import ContextExceeded, JournalMismatch
from tasks.ports import Admission, ChatModel, Heartbeat, Ledger
from tasks.prompts.fitting import Build, fit
from tasks.retries import ATTEMPTS, RetryLadder
from tasks.sampling import Sampling
from tasks.turn import Turn
from tasks.types import CallKey, ChatRequest, Completion, Cut, RequestSize

# Room that is kept free for the chat template's own tokens.
TEMPLATE_TOKENS = 32
# Divisors of the room for a prompt, where the server refused it as too long.
SHORTER = (2, 4, 8)


class NoAdmission:
    """Implements `Admission` for an engine whose load nobody watches."""

    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> AbstractContextManager[None]:
        """At once."""
        return nullcontext()


NO_ADMISSION = NoAdmission()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """How a prompt is built, and how far it is cut at least."""

    build: Build
    least: Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalledModel:
    """A chat model whose answers are committed before anything is built on them."""

    ledger: Ledger
    model: ChatModel
    sampling: Sampling
    admission: Admission = NO_ADMISSION

    def ask(
        self,
        turn: Turn,
        key: CallKey,
        build: Build,
        *,
        attempts: int = ATTEMPTS,
        choices: tuple[str, ...] = (),
        draw: int | None = None,
    ) -> Completion:
        """One answer for `key`, whose attempt is the first; at most `attempts` calls.

        `build(cut)` gives the prompt, which is cut where the model's context is too small for it. The completion of the
        last attempt may still carry its guard: then it is degenerate and nothing may be built on it. With `choices`
        the answer is one of them. `draw` stands for the first attempt's number in its seed, where calls differ by more
        than their attempt. Raises `LimitReached` before a call that the budget can't pay or that would begin after the
        job's hours, and after one that they cut short; `PromptTooLong`, `EngineFault`, and what the turn's heartbeat
        raises.
        """
        ladder = RetryLadder(
            key=key,
            seed=turn.job.spec.seed,
            sampling=self.sampling,
            attempts=attempts,
            choices=choices,
            draw=key.attempt if draw is None else draw,
        )
        attempt = ladder.first()
        while True:
            prompt = Prompt(build=build, least=attempt.cut)
            completion = self._complete(turn, attempt.key, ladder.request(attempt, build(attempt.cut)), prompt)
            following = ladder.after(attempt, completion)
            if following is None:
                return completion
            attempt = following

    def _complete(self, turn: Turn, key: CallKey, request: ChatRequest, prompt: Prompt) -> Completion:
        """The journal's completion, or a new one. The hash is that of the prompt before it is cut to a model: so a
        worker whose model has another context, or whose tokenizer is away, finds the call again."""
        hashed = prompt_hash(request)
        completion = self._find(turn, key, hashed)
        return self._call(turn, key, request, hashed, prompt) if completion is None else completion

    def _find(self, turn: Turn, key: CallKey, hashed: str) -> Completion | None:
        """The journal's completion, whoever answered. One that answers another prompt is set aside: another model has
        other sampling, another Redraft other prompts, and neither must end a job."""
        try:
            return self.ledger.find_call(turn.claim, key, hashed)
        except JournalMismatch as mismatch:
            self.ledger.set_aside(turn.claim, key, mismatch)
            return None

    def _call(self, turn: Turn, key: CallKey, request: ChatRequest, hashed: str, prompt: Prompt) -> Completion:
        heartbeat = turn.call_heartbeat
        heartbeat.checkpoint()
        request, tokens = self._fitted(request, prompt)
        size = RequestSize(messages=request.messages, prompt_tokens=tokens, completion_tokens=_most_tokens(request))
        with self.admission.admit(size, heartbeat):
            self.ledger.reserve(turn.claim, key, size.prompt_tokens + size.completion_tokens)
            passing(CrashPoint.RESERVED)
            with heartbeat.calling(key) as call:
                request, completion = self._send(request, prompt, call)
                passing(CrashPoint.CALL_MADE)
                self.ledger.commit_call(turn.claim, key, request, hashed, completion)
        passing(CrashPoint.CALL_COMMITTED)
        if completion.finish_reason == DEADLINE:
            turn.deadline.check()
        return completion

    def _send(self, request: ChatRequest, prompt: Prompt, heartbeat: Heartbeat) -> tuple[ChatRequest, Completion]:
        """The completion, and the request that it answers. A server whose context is smaller than it says, or that has
        no tokenizer, is sent ever shorter prompts."""
        for divisor in SHORTER:
            try:
                return request, self.model.complete(request, heartbeat)
            except ContextExceeded:
                request, _ = self._fitted(request, prompt, divisor)
        return request, self.model.complete(request, heartbeat)

    def _fitted(self, request: ChatRequest, prompt: Prompt, divisor: int = 1) -> tuple[ChatRequest, int]:
        """The request with its prompt cut to the room there is, divided by `divisor`; and the prompt's tokens."""
        room = self.model.context_tokens - TEMPLATE_TOKENS
        messages, tokens = fit(
            prompt.build,
            self.model.count_tokens,
            room=(room - _most_tokens(request)) // divisor,
            prefix_room=(room - self.sampling.answer_tokens - self.sampling.thinking_tokens) // 2 // divisor,
            least=prompt.least,
        )
        return dataclasses.replace(request, messages=tuple(messages)), tokens


def prompt_hash(request: ChatRequest) -> str:
    """SHA-256, in hex, of the canonical JSON of the messages and the sampling. Whether it thinks is the model's."""
    fields = dataclasses.asdict(request)
    del fields["thinking_tokens"]
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _most_tokens(request: ChatRequest) -> int:
    """Of thoughts and answer together."""
    return request.max_tokens + request.thinking_tokens
