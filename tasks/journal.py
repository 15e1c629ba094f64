"""Model calls that survive a crash: found in the journal, or reserved, made and committed. Over ports only; must not
know what a prompt says, nor when an answer is good enough."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tasks.crashpoints import CrashPoint, passing
from tasks.deadline import DEADLINE, Deadline, TimedHeartbeat
from tasks.errors import ContextExceeded, JournalMismatch, ProblemTooLong
from tasks.ports import Admission, CallLedger, ChatModel, Heartbeat
from tasks.prompts.fitting import Build, fit
from tasks.retries import ATTEMPTS, RetryLadder
from tasks.sampling import Sampling
from tasks.turn import Turn
from tasks.types import CallKey, ChatRequest, Completion, Cut, Omission, RequestSize
from tasks.window import CUT_HINT, TEMPLATE_TOKENS, Window

# A call is cut so long before its engine time is over: a stream ends at its next look.
CUT_SECONDS = 0.5
# Divisors of the room for a prompt, where the server refused it as too long.
SHORTER = (2, 4, 8)


class NoAdmission:
    """Implements `Admission` for an engine whose load nobody watches."""

    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> AbstractContextManager[None]:
        """At once."""
        return nullcontext()


NO_ADMISSION = NoAdmission()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSource:
    """How a prompt is built, how far it is cut at least, whether its problem may be cut, and how many requests with it
    are sent together."""

    build: Build
    least: Cut
    cut_problem: bool
    together: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRequest:
    """A request whose prompt fits the model, the prompt's tokens, and what was left out of it."""

    request: ChatRequest
    tokens: int
    omissions: tuple[Omission, ...]

    def within(self, completion_tokens: int) -> FittedRequest:
        """The same, with at most so many tokens of thoughts and answer together; half of them may be thoughts."""
        request = self.request
        if _most_tokens(request) <= completion_tokens:
            return self
        thinking = min(request.thinking_tokens, completion_tokens // 2)
        capped = dataclasses.replace(
            request, thinking_tokens=thinking, max_tokens=min(request.max_tokens, completion_tokens - thinking)
        )
        return dataclasses.replace(self, request=capped)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalledModel:
    """A chat model whose answers are committed before anything is built on them."""

    ledger: CallLedger
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
        together: int = 1,
        warmth: int = 0,
        runs_on: bool = False,
    ) -> Completion:
        """One answer for `key`, whose attempt is the first; at most `attempts` calls.

        `build(cut)` gives the prompt, which is cut where the model's context is too small for it. The completion of the
        last attempt may still carry its guard: then it is degenerate and nothing may be built on it. With `choices`
        the answer is one of them. `draw` stands for the first attempt's number in its seed, where calls differ by more
        than their attempt. So many first attempts with this prompt are sent `together`. `warmth` counts steps above the
        model's own temperature. With `runs_on` the answer may repeat itself.

        Raises `LimitReached` before a call that the budget can't pay or that would begin after the job's hours, and
        after one that they cut short; `ProblemTooLong`, `PromptTooLong`, `EngineFault`, and what the turn's heartbeat
        raises.
        """
        ladder = RetryLadder(
            key=key,
            seed=turn.job.spec.seed,
            sampling=self.sampling,
            attempts=attempts,
            choices=choices,
            draw=key.attempt if draw is None else draw,
            warmth=warmth,
            temperature=turn.job.spec.temperature,
            runs_on=runs_on,
        )
        attempt = ladder.first()
        while True:
            source = PromptSource(
                build=build,
                least=attempt.cut,
                cut_problem=turn.job.spec.cut,
                together=together if attempt.key == key else 1,
            )
            prompt = build(attempt.cut)
            request = ladder.request(attempt, prompt)
            completion = self._complete(turn, attempt.key, request, source)
            following = ladder.after(attempt, completion)
            if following is None:
                return completion
            attempt = following

    def _complete(self, turn: Turn, key: CallKey, request: ChatRequest, source: PromptSource) -> Completion:
        """The journal's completion, or a new one. The hash is that of the prompt before it is cut to a model: so a
        worker whose model has another context, or whose tokenizer is away, finds the call again."""
        hashed = prompt_hash(request)
        completion = self._find(turn, key, hashed)
        return self._call(turn, key, request, hashed, source) if completion is None else completion

    def _find(self, turn: Turn, key: CallKey, hashed: str) -> Completion | None:
        """The journal's completion, whoever answered. One that answers another prompt is set aside: another model has
        other sampling, another Redraft other prompts, and neither must end a job."""
        try:
            return self.ledger.find_call(turn.claim, key, hashed)
        except JournalMismatch as mismatch:
            self.ledger.set_aside(turn.claim, key, mismatch)
            passing(CrashPoint.SET_ASIDE)
            return None

    def _call(self, turn: Turn, key: CallKey, request: ChatRequest, hashed: str, source: PromptSource) -> Completion:
        heartbeat = turn.call_heartbeat
        heartbeat.checkpoint()
        fitted = self._fitted(request, source)
        size = RequestSize(
            messages=fitted.request.messages,
            prompt_tokens=fitted.tokens,
            completion_tokens=_most_tokens(request),
            thinking_tokens=request.thinking_tokens,
            together=source.together,
        )
        with self.admission.admit(size, heartbeat):
            tokens = size.prompt_tokens + size.completion_tokens
            grant = self.ledger.reserve(turn.claim, key, tokens, size.completion_tokens)
            fitted = fitted.within(grant.completion_tokens)
            passing(CrashPoint.RESERVED)
            with heartbeat.calling(key) as call:
                fitted, completion = self._send(fitted, source, _within(call, grant.seconds))
                if completion.finish_reason == DEADLINE and not turn.deadline.passed:
                    # It has had its share of the engine; the same again would cost as much and end alike.
                    completion = dataclasses.replace(completion, finish_reason="length")
                passing(CrashPoint.CALL_MADE)
                self.ledger.commit_call(turn.claim, key, fitted.request, hashed, completion, omissions=fitted.omissions)
        passing(CrashPoint.CALL_COMMITTED)
        if completion.finish_reason == DEADLINE:
            turn.deadline.check()
        return completion

    def _send(
        self, fitted: FittedRequest, source: PromptSource, heartbeat: Heartbeat
    ) -> tuple[FittedRequest, Completion]:
        """The completion, and the request that it answers. A server whose context is smaller than it says, or that has
        no tokenizer, is sent ever shorter prompts, as long as the problem in them may be as short."""
        for divisor in SHORTER:
            try:
                return fitted, self.model.complete(fitted.request, heartbeat)
            except ContextExceeded as refusal:
                fitted = self._fitted(fitted.request, source, divisor, f"; the server refused it: {refusal}")
        return fitted, self.model.complete(fitted.request, heartbeat)

    def _fitted(self, request: ChatRequest, source: PromptSource, divisor: int = 1, refusal: str = "") -> FittedRequest:
        """The request with its prompt cut to the room there is, divided by `divisor`."""
        window = self._window
        room = window.context_tokens - TEMPLATE_TOKENS - _most_tokens(request)
        try:
            prompt, tokens = fit(
                source.build,
                self.model.count_tokens,
                room=room // divisor,
                prefix_room=window.problem_tokens // divisor,
                least=source.least,
                cut_problem=source.cut_problem,
            )
        except ProblemTooLong as error:
            why = f"{window.refusal(f'{error.tokens:,} tokens')}{refusal}; it needs {CUT_HINT}"
            raise ProblemTooLong(error.tokens, window.problem_tokens, window.context_tokens, why) from None
        request = dataclasses.replace(request, messages=prompt.messages)
        return FittedRequest(request=request, tokens=tokens, omissions=prompt.omissions)

    @property
    def _window(self) -> Window:
        return Window(
            model=self.model.name,
            context_tokens=self.model.context_tokens,
            answer_tokens=self.sampling.answer_tokens + self.sampling.thinking_tokens,
        )


def prompt_hash(request: ChatRequest) -> str:
    """SHA-256, in hex, of the canonical JSON of the messages and the sampling. Whether it thinks is the model's; that
    it may run on follows from the calls before it, where it is complete from the prompt."""
    fields = dataclasses.asdict(request)
    for name in ("thinking_tokens", "runs_on", "asks_code", "asks_block", "asks_lines"):
        del fields[name]
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _within(heartbeat: Heartbeat, seconds: float | None) -> Heartbeat:
    """The heartbeat of a call that ends where it has taken so many `seconds`."""
    if seconds is None:
        return heartbeat
    at = time.monotonic() + max(0.0, seconds - CUT_SECONDS)
    return TimedHeartbeat(heartbeat=heartbeat, deadline=Deadline(at=at, hours=seconds / 3600))


def _most_tokens(request: ChatRequest) -> int:
    """Of thoughts and answer together."""
    return request.max_tokens + request.thinking_tokens
