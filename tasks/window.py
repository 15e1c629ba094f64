"""How much of a model's context a job's problem may take, and the sentence that says where it is too long for it. Pure;
must not know how tokens are counted, nor what a prompt says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasks.types import JobSpec, Modality

# The tokens with which the prompts of a job begin, by the tokenizer of the model so named; None where nobody counts.
Measure = Callable[[JobSpec, str], int | None]

# Room that is kept free for the chat template's own tokens.
TEMPLATE_TOKENS = 32
# The least that follows the problem: the task, and a little of an answer to correct and of what the checks say of it.
REST_TOKENS = 512
# UTF-8 bytes for a token. Hardly any text has more; prose has about 4, code and data have fewer, down to about 3.
MOST_BYTES, FEWEST_BYTES = 5, 3
# What is surely longer than so many times the room is refused by the estimate: counting it would take seconds.
NEAR = 4
CUT_HINT = "a larger context, or `cut: true` (--cut), which shows the model a part of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The context of `model` in tokens, and the most of it that an answer takes, thoughts included."""

    model: str
    context_tokens: int
    answer_tokens: int

    @property
    def problem_tokens(self) -> int:
        """The most tokens with which the prompts of a job may begin: its problem, and what belongs to it."""
        return max(0, self.context_tokens - self.answer_tokens - TEMPLATE_TOKENS - REST_TOKENS)

    @property
    def room(self) -> str:
        """How much there is for a problem, in words with all numbers."""
        return (
            f"the context of {self.model or 'the model'} is {self.context_tokens:,}, an answer needs "
            f"{self.answer_tokens:,} and the rest of a prompt {TEMPLATE_TOKENS + REST_TOKENS:,}: "
            f"{self.problem_tokens:,} are left"
        )

    def advice_tokens(self, problem: int) -> int:
        """The most tokens that advice may take beside a problem of so many: half of what follows it, for an answer to
        correct and what the checks say of it need the other half."""
        left = self.context_tokens - self.answer_tokens - TEMPLATE_TOKENS - min(problem, self.problem_tokens)
        return max(0, left) // 2

    def refusal(self, tokens: str) -> str:
        """Why a problem of so many `tokens`, in words, does not fit."""
        return f"the problem with its attachments is {tokens}; {self.room}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The tokens of a problem with its text attachments: at least and at most, which are equal where they were
    counted."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least:,} tokens" if self.least == self.most else f"about {self.least:,} to {self.most:,} tokens"

    def is_near(self, room: int) -> bool:
        """Whether a count would decide if it fits `room`, or is worth its time for the numbers of a refusal."""
        return self.most > room and self.least <= NEAR * room


def estimate(spec: JobSpec) -> Estimate:
    """What a job's problem and text attachments may take of a context, by their bytes."""
    size = len(spec.problem.encode("utf-8", "surrogatepass"))
    size += sum(a.bytes for a in spec.attachments if a.modality is Modality.TEXT)
    return Estimate(least=size // MOST_BYTES, most=size // FEWEST_BYTES)
