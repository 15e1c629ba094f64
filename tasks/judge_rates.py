"""What is known of a model as a judge: how many right and how many wrong answers its votes pass, measured with planted
errors. Pure; must not know where the rates are kept, nor what a judge is asked.

How many votes in a row an acceptance takes follows from them, where they are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# The largest share of wrong answers that a judge may accept.
BOUND = 0.05
# The two-sided 95 % quantile of the normal distribution.
_Z = 1.959963984540054


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tally(_Value):
    """Of `cases` answers, `passed` passed."""

    passed: int = Field(ge=0)
    cases: int = Field(ge=0)

    @model_validator(mode="after")
    def _counts(self) -> Tally:
        if self.passed > self.cases:
            raise ValueError(f"{self.passed} of {self.cases} answers cannot have passed")
        return self

    @property
    def share(self) -> float:
        """In [0, 1]; 0 without a case."""
        return self.passed / self.cases if self.cases else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, at 95 %: the score interval of E. B. Wilson (1927)."""
        if not self.cases:
            return 0.0, 1.0
        n, share, square = self.cases, self.share, _Z**2
        centre = (share + square / (2 * n)) / (1 + square / n)
        half = _Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
        low = 0.0 if self.passed == 0 else max(0.0, centre - half)
        high = 1.0 if self.passed == n else min(1.0, centre + half)
        return low, high


class VoteRates(_Value):
    """The votes through one judge prompt. An invalid vote passes nothing; `invalid` counts them. `completion_tokens`
    are those of all its calls, `prompt_tokens` too."""

    right: Tally
    wrong: Tally
    invalid: int = Field(ge=0)
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class PanelRates(_Value):
    """What `votes` in a row accept, one judge prompt after another. Counted, not multiplied: votes of one model on one
    answer are not independent."""

    votes: int = Field(ge=1)
    right: Tally
    wrong: Tally

    @property
    def gap(self) -> tuple[float, float]:
        """The 95 % interval of the share of right answers accepted less that of wrong ones, by the tallies' intervals
        (R. G. Newcombe 1998, method 10)."""
        difference = self.right.share - self.wrong.share
        (right_low, right_high), (wrong_low, wrong_high) = self.right.interval, self.wrong.interval
        down = math.hypot(self.right.share - right_low, wrong_high - self.wrong.share)
        up = math.hypot(right_high - self.right.share, self.wrong.share - wrong_low)
        return difference - down, difference + up

    @property
    def informs(self) -> bool:
        """Whether an acceptance says anything: right answers are accepted more often than wrong ones."""
        return self.gap[0] > 0

    def keeps_to(self, bound: float) -> bool:
        """Whether the share of wrong answers that it accepts is shown to be at most `bound`."""
        return self.informs and self.wrong.interval[1] <= bound


class ModelRates(_Value):
    """What was measured of one model. `prompts` is the digest of the judge prompts (`tasks.prompts.judging.DIGEST`),
    `cases` the number of answers of each kind of task, `judge_prompts` the votes by the prompts' names, and `panel` the
    acceptances by the number of votes, 1 first."""

    measured: str
    engine: str
    prompts: str
    cases: Mapping[str, int]
    judge_prompts: Mapping[str, VoteRates]
    panel: tuple[PanelRates, ...]

    @model_validator(mode="after")
    def _numbered(self) -> ModelRates:
        numbers = [panel.votes for panel in self.panel]
        if numbers != list(range(1, len(numbers) + 1)) or not numbers:
            raise ValueError("`panel` has one entry for each number of votes, from 1")
        return self

    def votes_within(self, bound: float = BOUND) -> int | None:
        """The fewest votes in a row of which it is shown that they accept at most the share `bound` of wrong answers;
        None where no number of them is."""
        return next((panel.votes for panel in self.panel if panel.keeps_to(bound)), None)

    def at(self, votes: int) -> PanelRates:
        """What so many votes in a row accept; the most that were measured where there are more."""
        return self.panel[min(max(votes, 1), len(self.panel)) - 1]

    @property
    def kinds(self) -> str:
        """The kinds of tasks of the measured answers, in words."""
        return " and ".join(sorted(self.cases))


class JudgeRates(_Value):
    """The rates of each model that was measured, by its name in requests."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    models: Mapping[str, ModelRates] = Field(default_factory=dict)

    def of(self, model: str, prompts: str) -> ModelRates | None:
        """The rates of `model`, None where it was never measured with these judge prompts."""
        rates = self.models.get(model)
        return rates if rates is not None and rates.prompts == prompts else None

    def under(self, own: JudgeRates) -> JudgeRates:
        """These, and for each model that `own` has too, those of `own`."""
        return JudgeRates(models={**self.models, **own.models})


NEVER_MEASURED = JudgeRates()


def decided(passes: Sequence[bool | None], needed: int) -> bool | None:
    """What votes in their order say of an answer: True where `needed` passed and none failed before, False where one
    failed, None where neither has happened yet. An invalid vote, None, leaves its place to the next."""
    count = 0
    for passed in passes:
        if passed is False:
            return False
        count += passed is True
        if count >= needed:
            return True
    return None


def describe(model: str, votes: int, rates: ModelRates | None) -> str:
    """What a judgement by so many `votes` of `model` is worth, in one line."""
    by = f"{model}, {votes} {'vote' if votes == 1 else 'votes'} in a row"
    if rates is None:
        return f"{by}: never measured (`redraft bench judges` does)"
    panel = rates.at(votes)
    known = "" if panel.votes == votes else f", as {panel.votes} votes"
    line = (
        f"{by}: passes {percent(panel.right.share)} of right and {percent(panel.wrong.share)} of wrong answers{known} "
        f"(n={panel.right.cases}+{panel.wrong.cases}, {rates.kinds})"
    )
    return line if panel.informs else f"{line}: this model's judgement carries no information"


def finding(rates: ModelRates, bound: float = BOUND) -> str:
    """How many votes keep the acceptance of wrong answers within `bound`, or that none do and why, in a sentence."""
    needed = rates.votes_within(bound)
    panel = rates.panel[-1] if needed is None else rates.at(needed)
    wrong, right = _words(panel.wrong), _words(panel.right)
    several = f"{panel.votes} votes in a row" if panel.votes > 1 else "1 vote"
    if needed is not None:
        return f"{several} accept at most {percent(bound)} of wrong answers: {wrong} of them, and {right} of right ones"
    if not any(entry.informs for entry in rates.panel):
        return (
            f"this model's judgement carries no information: {several} accept {right} of right and {wrong} of wrong "
            "answers"
        )
    if Tally(passed=0, cases=panel.wrong.cases).interval[1] > bound:
        return (
            f"the sample is too small to show {percent(bound)}, which takes {_fewest(bound)} wrong answers: "
            f"{several} accept {wrong} of wrong and {right} of right ones"
        )
    return (
        f"no number of votes up to {panel.votes} is shown to accept at most {percent(bound)} of wrong answers: "
        f"{several} accept {wrong} of them, and {right} of right ones"
    )


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f} %"


def _words(tally: Tally) -> str:
    low, high = tally.interval
    return f"{percent(tally.share)} ({100 * low:.0f} to {100 * high:.0f} %, n={tally.cases})"


def _fewest(bound: float) -> int:
    """How many wrong answers it takes to show `bound`, where none is accepted."""
    return math.ceil(_Z**2 * (1 - bound) / bound)
