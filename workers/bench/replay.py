"""Plays a strategy from a pool: its drafts are drawn from the recorded ones, with their verdicts and tokens; what it
asks for beyond them, an engine answers. Nothing of the queue takes part: a run of drafts takes milliseconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tasks.errors import LimitReached
from tasks.escalation import NoCloud
from tasks.heartbeat import SilentHeartbeat
from tasks.journal import JournalledModel
from tasks.operators import Operators
from tasks.policy import LoopRules, choose, limits_of, marked
from tasks.ports import Strategy
from tasks.retries import ATTEMPTS
from tasks.turn import Turn
from tasks.types import (
    Budget,
    CallKey,
    Candidate,
    CandidateRef,
    Claim,
    Draft,
    Iteration,
    Lane,
    Limits,
    Move,
    OpenIteration,
    Probe,
    Spend,
    Stop,
    operator_of,
)
from tasks.validation import inputs_of, is_unobserved
from tasks.validators.registry import accepted, score
from workers.bench.asked import CHARS_PER_TOKEN
from workers.bench.deck import Deck
from workers.bench.runs import Run
from workers.bench.spending import Spending

_CLAIM = Claim(job=0, epoch=1, worker="replay", turn="replay")
_HEARTBEAT = SilentHeartbeat()
# A replay is limited by its completion tokens alone.
_UNLIMITED = Budget(hours=1e6, iterations=10_000, tokens=10**12)
# The iteration of which every probe's call has its seed; most probes are a run's second iteration.
_PROBE = 2


def play(deck: Deck, strategy: Strategy, seed: int) -> Run:
    """What comes of the task with this seed. Raises what the deck's model and checks raise."""
    return _Player(deck, seed).play(strategy)


class _Player:
    """One run: its history, what is drawn next, and what is spent."""

    def __init__(self, deck: Deck, seed: int) -> None:
        self._deck, self._order = deck, deck.order(seed)
        spec = dataclasses.replace(deck.job.spec, seed=seed, budget=_UNLIMITED)
        self._job = dataclasses.replace(deck.job, spec=spec)
        self._spending = Spending(deck.terms.tokens)
        self._rules = LoopRules(width=deck.terms.width, move_up_after=10**6, escalate_after=10**6)
        model = JournalledModel(ledger=self._spending, model=deck.model, sampling=deck.sampling)
        self._operators = Operators(model=model, cloud=NoCloud())
        self._history: tuple[Iteration, ...] = ()
        self._right: dict[CandidateRef, bool] = {}
        self._tokens: dict[CandidateRef, int] = {}

    def play(self, strategy: Strategy) -> Run:
        """Until the strategy stops, or no token is left."""
        while True:
            decision = strategy.decide(self._history, self._limits())
            if not isinstance(decision, Stop):
                try:
                    self._iterate(len(self._history) + 1, decision)
                    continue
                except LimitReached as reached:
                    decision = self._conclude(decision, reached)
            return self._end(strategy.name, decision)

    def _conclude(self, move: Move, reached: LimitReached) -> Stop:
        """The budget does not pay for the move: the end with the best choice among what passed, as a job's."""
        empty = Iteration(number=len(self._history) + 1, operator=operator_of(move), candidates=())
        choice = choose((*self._history, empty), self._limits())
        if choice is None:
            return Stop(code=reached.code, used=reached.value, limit=reached.limit)
        self._history = (*self._history, empty)
        return choice

    def _limits(self) -> Limits:
        tokens = self._spending.prompt_tokens + self._spending.completion_tokens
        return limits_of(dataclasses.replace(self._job, spend=Spend(local_tokens=tokens)), self._rules)

    def _iterate(self, number: int, move: Move) -> None:
        inputs: tuple[str, ...] = ()
        candidates: tuple[Candidate, ...] = ()
        match move:
            case Draft(avoid=()):
                candidates = self._draw(number, move)
            case Probe():
                inputs = self._probe(move)
            case _:
                candidates = self._ask(number, move)
        executable = self._limits().executable
        candidates = marked(candidates, self._history, executable=executable)
        iteration = Iteration(number=number, operator=operator_of(move), candidates=candidates, inputs=inputs)
        self._history = (*self._history, iteration)

    def _ask(self, number: int, move: Move) -> tuple[Candidate, ...]:
        iteration = OpenIteration(number=number, move=move)
        made = self._operators.attempt(self._turn(iteration, self._job.spec.seed), iteration)
        return tuple(self._check(candidate) for candidate in made)

    def _probe(self, move: Probe) -> tuple[str, ...]:
        """The inputs that the model wrote; every accepted candidate is run on them. All runs of a task with one prompt
        share what it wrote, whenever they ask, so that hundreds of them ask once."""
        iteration = OpenIteration(number=_PROBE, move=move)
        inputs = self._operators.inputs(self._turn(iteration, seed=0), iteration)
        self._history = tuple(
            dataclasses.replace(
                earlier,
                candidates=tuple(
                    self._observed(candidate, inputs) if is_unobserved(candidate) else candidate
                    for candidate in earlier.candidates
                ),
            )
            for earlier in self._history
        )
        return inputs

    def _observed(self, candidate: Candidate, inputs: Sequence[str]) -> Candidate:
        behaviour = self._deck.checks.behaviour(candidate.text, self._job.spec.checks, inputs, _HEARTBEAT)
        return dataclasses.replace(candidate, behaviour=behaviour)

    def _turn(self, iteration: OpenIteration, seed: int) -> Turn:
        spec = dataclasses.replace(self._job.spec, seed=seed)
        job = dataclasses.replace(self._job, spec=spec, history=self._history, open=iteration)
        return Turn(claim=_CLAIM, job=job, lanes=frozenset(Lane), heartbeat=_HEARTBEAT)

    def _draw(self, number: int, move: Draft) -> tuple[Candidate, ...]:
        """All slots at once: each has its share of what is left reserved before any is drawn."""
        keys = [
            CallKey(iteration=number, operator=operator_of(move), slot=slot, attempt=1) for slot in range(move.slots)
        ]
        granted: dict[CallKey, int] = {}
        for key in keys:
            try:
                granted[key] = self._spending.reserve(
                    _CLAIM, key, 0, self._deck.sampling.answer_tokens
                ).completion_tokens
            except LimitReached:
                if not granted:
                    raise
        return tuple(self._slot(key, most) for key, most in granted.items())

    def _slot(self, key: CallKey, most: int) -> Candidate:
        """A draft for a slot; another after a degenerate one, as a job asks again."""
        while True:
            draft = next(self._order)
            tokens = min(draft.completion_tokens, most)
            self._spending.settle(
                key,
                prompt_tokens=draft.prompt_tokens,
                completion_tokens=tokens,
                seconds=draft.seconds * tokens / max(1, draft.completion_tokens),
                degenerate=draft.guard is not None,
            )
            if draft.guard is None or key.attempt == ATTEMPTS:
                break
            key = dataclasses.replace(key, attempt=key.attempt + 1)
            try:
                most = self._spending.reserve(_CLAIM, key, 0, self._deck.sampling.answer_tokens).completion_tokens
            except LimitReached:
                break
        ref = CandidateRef(iteration=key.iteration, slot=key.slot)
        candidate = dataclasses.replace(self._deck.candidates[draft.draft], ref=ref, root=ref, operator=key.operator)
        whole = tokens == draft.completion_tokens
        self._note(candidate, right=draft.right and whole, tokens=tokens)
        if not whole:
            return _cut(candidate, tokens / draft.completion_tokens)
        return candidate if candidate.guard else self._observed(candidate, self._inputs(candidate))

    def _inputs(self, candidate: Candidate) -> tuple[str, ...]:
        """Those that a checked candidate is run on."""
        return inputs_of(dataclasses.replace(self._job, history=self._history)) if candidate.accepted else ()

    def _check(self, candidate: Candidate) -> Candidate:
        """An answer that the engine wrote, with its verdicts."""
        deck, specs = self._deck, self._job.spec.checks
        if candidate.guard is None:
            verdicts = deck.checks.validate(candidate.text, specs, _HEARTBEAT)
            candidate = dataclasses.replace(
                candidate, verdicts=verdicts, score=score(verdicts, specs), accepted=accepted(verdicts, specs)
            )
            candidate = self._observed(candidate, self._inputs(candidate))
        truth = deck.checks.validate(candidate.text, deck.task.scoring, _HEARTBEAT)
        right = candidate.guard is None and all(verdict.passed for verdict in truth)
        self._note(candidate, right=right, tokens=len(candidate.text) // CHARS_PER_TOKEN)
        return candidate

    def _note(self, candidate: Candidate, *, right: bool, tokens: int) -> None:
        self._right[candidate.ref], self._tokens[candidate.ref] = right, tokens

    def _end(self, strategy: str, stop: Stop) -> Run:
        candidates = [candidate for iteration in self._history for candidate in iteration.candidates]
        chosen, spending = _chosen(candidates, stop), self._spending
        return Run(
            task=self._deck.task.name,
            strategy=strategy,
            seed=self._job.spec.seed,
            mode=self._deck.terms.mode,
            accepted=stop.acceptance is not None,
            right=chosen is not None and self._right[chosen.ref],
            any_right=any(self._right.values()),
            calls=spending.calls,
            degenerate=spending.degenerate,
            iterations=len(self._history),
            prompt_tokens=spending.prompt_tokens,
            completion_tokens=spending.completion_tokens,
            repeated_tokens=sum(self._tokens[candidate.ref] for candidate in candidates if candidate.repeats),
            seconds=round(spending.seconds, 2),
            stop=stop.code,
        )


def _chosen(candidates: Sequence[Candidate], stop: Stop) -> Candidate | None:
    """The accepted one that the stop names; else the incumbent: the best, the first of equals."""
    if stop.acceptance is not None:
        return next(c for c in candidates if f"{c.ref.iteration}.{c.ref.slot}" == stop.detail)
    sound = [candidate for candidate in candidates if candidate.guard is None]
    return max(sound, key=lambda candidate: candidate.score, default=None)


def _cut(candidate: Candidate, share: float) -> Candidate:
    """A draft that the budget cut short, of which no check is passed."""
    failed = tuple(
        dataclasses.replace(verdict, passed=False, score=0.0, feedback="The answer was cut off.")
        for verdict in candidate.verdicts
        if not verdict.held_out
    )
    text = candidate.text[: int(len(candidate.text) * share)]
    return dataclasses.replace(candidate, text=text, verdicts=failed, score=0.0, accepted=False)
