"""The second agent: judges a candidate by the job's `judge` checks, with prompts of its own. Over ports only.

A vote is a report in free text, then one word. It fails the candidate only on a problem whose quote is really there. A
vote that says FAIL without one, falls into a loop, is cut short or says neither word is invalid: it is cast again once
with another seed, and then another judge prompt takes its place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.deadline import DEADLINE
from tasks.jobfiles import shown_text
from tasks.journal import JournalledModel
from tasks.judge_rates import BOUND, NEVER_MEASURED, JudgeRates, ModelRates, decided
from tasks.policy import JUDGES
from tasks.prompts import judging, parse
from tasks.prompts.judging import JUDGE_PROMPTS, JudgePrompt
from tasks.turn import Turn
from tasks.types import CallKey, Candidate, CheckSpec, Operator, Verdict

# Votes that must pass, one after another and each through another judge prompt, of a model that was never measured as a
# judge. Five where there is nothing but opinion (arXiv 2507.15855), three where a program has the first word.
VOTES_ALONE = 5
VOTES_BESIDE_PROGRAMS = 3
# A vote is cast, and once again where it was invalid.
TRIES = 2
# The calls of a vote, in their order.
_STEPS = ("report", "verdict")
# The numbers from which the seeds of calls are drawn are apart by so much.
_STRIDE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One vote: `passed` is None where it was invalid; `seconds` are the engine's."""

    passed: bool | None = None
    problems: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudgePanel:
    """Implements `JudgePanel` with the worker's own model and the judge prompts of `tasks.prompts.judging`; `rates` say
    how many votes it takes to accept at most the share `bound` of wrong answers."""

    model: JournalledModel
    rates: JudgeRates = NEVER_MEASURED
    bound: float = BOUND

    def judge(self, turn: Turn, candidate: Candidate, checks: Sequence[CheckSpec]) -> tuple[Verdict, ...]:
        """One verdict a check, visible ones first, up to the first that did not pass."""
        rates = self.rates.of(self.model.model.name, judging.DIGEST)
        needed = votes_needed(turn.job.spec.checks, rates, self.bound)
        verdicts: list[Verdict] = []
        for number, check in sorted(enumerate(checks), key=lambda numbered: numbered[1].held_out):
            judged = JudgedCheck(model=self.model, turn=turn, candidate=candidate, check=check, number=number)
            verdicts.append(judged.verdict(needed))
            if not verdicts[-1].passed:
                break
        return tuple(verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCheck:
    """One candidate before one check, the `number`th of the job's `judge` checks."""

    model: JournalledModel
    turn: Turn
    candidate: Candidate
    check: CheckSpec
    number: int

    def verdict(self, needed: int) -> Verdict:
        """A pass where `needed` votes passed and none failed."""
        votes = self._votes(needed)
        passes = sum(vote.passed is True for vote in votes)
        feedback = _feedback(votes, passes, needed)
        return Verdict(
            check=self.check.name,
            kind=self.check.kind,
            passed=not feedback,
            score=passes / needed,
            held_out=self.check.held_out,
            feedback=feedback,
            seconds=sum(vote.seconds for vote in votes),
        )

    def vote(self, judge_prompt: JudgePrompt, number: int) -> Vote:
        """Vote `number` on the candidate: cast again once where it was invalid. Raises as `JudgePanel.judge` does."""
        seconds = 0.0
        vote = Vote()
        for attempt in range(1, TRIES + 1):
            vote = self._cast(judge_prompt, number, attempt)
            seconds += vote.seconds
            if vote.passed is not None:
                break
        return dataclasses.replace(vote, seconds=seconds)

    def _votes(self, needed: int) -> Sequence[Vote]:
        """Through one judge prompt after another, until enough have passed; any fail fails (arXiv 2511.21522)."""
        votes: list[Vote] = []
        for number, judge_prompt in enumerate(JUDGE_PROMPTS, start=1):
            votes.append(self.vote(judge_prompt, number))
            if decided([vote.passed for vote in votes], needed) is not None:
                break
        return votes

    def _cast(self, judge_prompt: JudgePrompt, number: int, attempt: int) -> Vote:
        """A report in free text, then one word about those of its problems whose quotes are in the candidate."""
        job, candidate, check = self.turn.job, self.candidate, self.check
        report = self.model.ask(
            self.turn,
            self._key("report", number, attempt),
            lambda cut: judging.report(job, candidate, check, judge_prompt, cut=cut),
            attempts=1,
            draw=self._draw("report", number, attempt),
        )
        if report.guard is not None or report.finish_reason == DEADLINE:
            return Vote(seconds=report.seconds)
        problems = parse.bugs(report.text, shown_text(job, candidate))
        word = self.model.ask(
            self.turn,
            self._key("verdict", number, attempt),
            lambda cut: judging.verdict(job, candidate, check, problems, cut=cut),
            attempts=1,
            choices=judging.CHOICES,
            draw=self._draw("verdict", number, attempt),
        )
        passed = _passed(word.text, proved=bool(problems))
        return Vote(passed=passed, problems=problems, seconds=report.seconds + word.seconds)

    def _key(self, step: str, vote: int, attempt: int) -> CallKey:
        """The journal's key of a call: the same for a turn that resumes."""
        ref = self.candidate.ref
        return CallKey(
            iteration=ref.iteration,
            operator=Operator.JUDGE,
            slot=ref.slot,
            attempt=attempt,
            step=step,
            check=self.check.name,
            vote=vote,
        )

    def _draw(self, step: str, vote: int, attempt: int) -> int:
        """The number from which a call's seed is drawn: another for each of a candidate's calls, and the one under
        which the first releases kept the call, so that a journal of theirs is read on."""
        votes = self.number * len(JUDGE_PROMPTS) + vote - 1
        tries = votes * TRIES + attempt - 1
        return 1 + _STRIDE * (tries * len(_STEPS) + _STEPS.index(step))


def votes_needed(checks: Sequence[CheckSpec], rates: ModelRates | None = None, bound: float = BOUND) -> int:
    """How many votes must pass for a `judge` check of a job with these checks: as many as are shown to accept at most
    the share `bound` of wrong answers, and beside programs three at most. Where that is shown of no number, it is as
    for a model that was never measured."""
    alone = all(check.kind in JUDGES for check in checks)
    needed = (rates.votes_within(bound) if rates else None) or VOTES_ALONE
    return needed if alone else min(needed, VOTES_BESIDE_PROGRAMS)


def _feedback(votes: Sequence[Vote], passes: int, needed: int) -> str:
    """Why the votes don't accept; empty where they do."""
    for vote in votes:
        if vote.passed is False:
            return "\n".join(f"- {problem}" for problem in vote.problems)
    if passes < needed:
        return f"Only {passes} of the {needed} votes needed were valid: the judges say nothing of the answer."
    return ""


def _passed(text: str, *, proved: bool) -> bool | None:
    """Whether the vote is a pass; None for a word that is neither, or a FAIL that no quote proves."""
    match text.strip().strip("*`'\".").upper():
        case judging.PASS:
            return True
        case judging.FAIL if proved:
            return False
        case _:
            return None


class NoJudgePanel:
    """The twin for jobs without `judge` checks."""

    def judge(self, turn: Turn, candidate: Candidate, checks: Sequence[CheckSpec]) -> tuple[Verdict, ...]:
        """No verdict: nothing that a judge must accept is accepted."""
        return ()
