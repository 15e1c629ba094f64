"""The attempts at one model call: another seed and warmer after a degenerate answer, at last with a shorter prompt too,
or with the whole prompt and let run on, where it repeats itself at the same place again. Pure; must not know where
attempts are journalled."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tasks.deadline import DEADLINE
from tasks.prompts.layout import WHOLE
from tasks.repetition import same_place
from tasks.sampling import Sampling, call_seed, is_first_draft
from tasks.types import CallKey, ChatRequest, Completion, Cut, GuardHit, Operator, Prompt

# As requested; with another seed, warmer; and with a shorter prompt too, or let run on.
ATTEMPTS = 3
# Their answers are checked. Nobody would notice a review or a lesson that is a loop.
CHECKED = frozenset(
    {
        Operator.DRAFT,
        Operator.RESTART,
        Operator.REVISE,
        Operator.AGGREGATE,
        Operator.SYNTHESISE,
        Operator.MUTATE,
        Operator.EDIT,
    }
)
WARMER = 0.2
# By which a move that counts steps of temperature warms the model.
WARMTH = 0.1
# Of the last attempt.
HALVED = Cut(prefix=1, rest=1)
# One word of a given list, and the end of the text.
CHOICE_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: its key in the journal, how many went before it, and how long the model may think; `hits` are the
    loops of those before it, and with `runs_on` it may repeat itself as they do."""

    key: CallKey
    retries: int = 0
    thinking_tokens: int = 0
    hits: tuple[GuardHit, ...] = ()
    runs_on: bool = False

    @property
    def cut(self) -> Cut:
        """How far the prompt is cut at least."""
        return HALVED if self.retries == ATTEMPTS - 1 and not self.runs_on else WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLadder:
    """The attempts at the call `key`, at most `attempts`. With `choices` the answer is one of them, chosen without
    chance, in at most `CHOICE_TOKENS`. `draw` stands for the first attempt's number in its seed. `warmth` counts steps
    of `WARMTH` above the model's own temperature; `temperature`, where set, takes its place in answers that are
    checked, the job's first one included. With `runs_on` every attempt may repeat itself, as what it changes does."""

    key: CallKey
    seed: int
    draw: int
    sampling: Sampling
    attempts: int = ATTEMPTS
    choices: tuple[str, ...] = ()
    warmth: int = 0
    temperature: float | None = None
    runs_on: bool = False

    def first(self) -> Attempt:
        """A model that thinks does so before free text, never before a choice."""
        thinking = 0 if self.choices else self.sampling.reasoning_tokens(self.key.operator)
        return Attempt(key=self.key, thinking_tokens=thinking, runs_on=self.runs_on)

    def after(self, attempt: Attempt, completion: Completion) -> Attempt | None:
        """The next attempt, or None where the completion will do, or was the last. A model whose thoughts left no room
        for an answer thinks no more. One that the job's hours cut short is made again, where the job has been given
        more of them; a caller that wants one attempt gets it as it is."""
        key = dataclasses.replace(attempt.key, attempt=attempt.key.attempt + 1)
        if completion.finish_reason == DEADLINE and self.attempts > 1:
            return dataclasses.replace(attempt, key=key)
        lost_in_thought = bool(completion.reasoning) and not completion.text.strip()
        sound = completion.guard is None and not lost_in_thought
        if sound or (attempt.runs_on and not self.runs_on):
            return None
        hits = attempt.hits if completion.guard is None else (*attempt.hits, completion.guard)
        retries, meant = attempt.retries + 1, not self.runs_on and self._meant(hits)
        if retries >= self.attempts and not meant:
            return None
        thinking = 0 if lost_in_thought else attempt.thinking_tokens
        return Attempt(key=key, retries=retries, thinking_tokens=thinking, hits=hits, runs_on=self.runs_on or meant)

    def _meant(self, hits: tuple[GuardHit, ...]) -> bool:
        """Whether the last hit is where an earlier one was, in what is checked: the next attempt is let run on. Where
        only the last attempt was like an earlier one, it is one more than `attempts`."""
        checked = self.attempts >= ATTEMPTS and self.key.operator in CHECKED and not self.choices
        return checked and any(same_place(earlier, hits[-1]) for earlier in hits[:-1])

    def request(self, attempt: Attempt, prompt: Prompt) -> ChatRequest:
        """What is sent for an attempt."""
        draw = self.draw + attempt.key.attempt - self.key.attempt
        return ChatRequest(
            messages=prompt.messages,
            temperature=self._temperature(attempt),
            top_p=self.sampling.top_p,
            top_k=self.sampling.top_k,
            max_tokens=CHOICE_TOKENS if self.choices else self.sampling.completion_tokens(self.key.operator),
            seed=call_seed(self.seed, dataclasses.replace(attempt.key, attempt=draw)),
            choices=self.choices,
            thinking_tokens=attempt.thinking_tokens,
            runs_on=attempt.runs_on,
            asks_code=prompt.asks_code,
            asks_block=prompt.asks_block,
            asks_lines=prompt.asks_lines,
        )

    def _temperature(self, attempt: Attempt) -> float:
        """None for a choice, the model's own otherwise, or the job's; warmer after a loop. A model's first draft of a
        job may have a temperature of its own."""
        if self.choices:
            return 0.0
        own = self.temperature if self.key.operator in CHECKED else None
        first = self.sampling.first_temperature
        if own is None and first is not None and not attempt.retries and is_first_draft(self.key):
            return first
        warmer = WARMER if attempt.retries and not attempt.runs_on else 0.0
        return (self.sampling.temperature if own is None else own) + self.warmth * WARMTH + warmer
