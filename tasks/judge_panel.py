"""The second agent: judges a candidate by the job's `judge` checks, with prompts of its own. Over ports only.

A vote is a report in free text, then one word. It fails the candidate only on a problem that quotes it, where the
quote was found; a vote that says FAIL without one, falls into a loop or says neither word is invalid: it is asked
again once with another seed, and then another judge prompt is asked in its place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.journal import JournalledModel
from tasks.policy import JUDGES
from tasks.ports import Heartbeat
from tasks.prompts import judging, parse
from tasks.prompts.judging import JUDGE_PROMPTS, JudgePrompt
from tasks.types import CallKey, Candidate, CheckSpec, Claim, Job, Operator, Verdict

# Votes that must pass, one after another and each through another judge prompt. Five where there is nothing but opinion
# (arXiv 2507.15855), three where a program has the first word.
VOTES_ALONE = 5
VOTES_BESIDE_PROGRAMS = 3
# A vote is asked, and once again where it was invalid.
TRIES = 2
_STEPS = 2
# Attempt numbers are apart by so much: what a ladder of attempts may use.
_STRIDE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vote:
    """What one vote said: `passed` None where it was invalid. `seconds` are the engine's."""

    passed: bool | None = None
    problems: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudgePanel:
    """Implements `JudgePanel` with the worker's own model and the judge prompts of `tasks.prompts.judging`."""

    model: JournalledModel

    def judge(
        self, claim: Claim, job: Job, candidate: Candidate, checks: Sequence[CheckSpec], heartbeat: Heartbeat
    ) -> tuple[Verdict, ...]:
        """One verdict a check, visible ones first, up to the first that did not pass."""
        verdicts: list[Verdict] = []
        for number, check in sorted(enumerate(checks), key=lambda numbered: numbered[1].held_out):
            hearing = _JudgedCheck(
                model=self.model,
                claim=claim,
                job=job,
                candidate=candidate,
                check=check,
                number=number,
                heartbeat=heartbeat,
            )
            verdicts.append(hearing.verdict())
            if not verdicts[-1].passed:
                break
        return tuple(verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _JudgedCheck:
    """One candidate before one check, the `number`th of the job's `judge` checks."""

    model: JournalledModel
    claim: Claim
    job: Job
    candidate: Candidate
    check: CheckSpec
    number: int
    heartbeat: Heartbeat

    def verdict(self) -> Verdict:
        """Asks one judge prompt after another until enough votes have passed; any fail fails (arXiv 2511.21522)."""
        needed = votes_needed(self.job.spec.checks)
        passes, seconds, feedback = 0, 0.0, ""
        for ordinal, judge_prompt in enumerate(JUDGE_PROMPTS):
            vote = self._vote(judge_prompt, self.number * len(JUDGE_PROMPTS) + ordinal)
            seconds += vote.seconds
            passes += vote.passed is True
            if vote.passed is False:
                feedback = "\n".join(f"- {problem}" for problem in vote.problems)
            if vote.passed is False or passes == needed:
                break
        if not feedback and passes < needed:
            feedback = f"Only {passes} of the {needed} votes needed were valid: the judges say nothing of the answer."
        return Verdict(
            check=self.check.name,
            kind=self.check.kind,
            passed=not feedback,
            score=passes / needed,
            held_out=self.check.held_out,
            feedback=feedback,
            seconds=seconds,
        )

    def _vote(self, judge_prompt: JudgePrompt, number: int) -> _Vote:
        """Vote `number` on the candidate: asked again once where it was invalid."""
        seconds = 0.0
        vote = _Vote()
        for again in range(TRIES):
            vote = self._ask(judge_prompt, number * TRIES + again)
            seconds += vote.seconds
            if vote.passed is not None:
                break
        return dataclasses.replace(vote, seconds=seconds)

    def _ask(self, judge_prompt: JudgePrompt, number: int) -> _Vote:
        """A report in free text, then one word about what is left of it once its quotes were looked up."""
        job, candidate, check = self.job, self.candidate, self.check
        said = self.model.ask(
            self.claim,
            _key(candidate, number * _STEPS),
            job.spec.seed,
            lambda cut: judging.report(job, candidate, check, judge_prompt, cut=cut),
            self.heartbeat,
            attempts=1,
        )
        if said.guard is not None:
            return _Vote(seconds=said.seconds)
        problems = parse.bugs(said.text, candidate.text)
        word = self.model.ask(
            self.claim,
            _key(candidate, number * _STEPS + 1),
            job.spec.seed,
            lambda cut: judging.verdict(job, candidate, check, problems, cut=cut),
            self.heartbeat,
            attempts=1,
            choices=judging.CHOICES,
        )
        passed = _read(word.text, proved=bool(problems))
        return _Vote(passed=passed, problems=problems, seconds=said.seconds + word.seconds)


def votes_needed(checks: Sequence[CheckSpec]) -> int:
    """How many votes must pass for a `judge` check of a job with these checks."""
    return VOTES_ALONE if all(check.kind in JUDGES for check in checks) else VOTES_BESIDE_PROGRAMS


def _read(text: str, *, proved: bool) -> bool | None:
    """The vote that one word is; None for another word, or a FAIL that no quote proves."""
    match text.strip().strip("*`'\".").upper():
        case judging.PASS:
            return True
        case judging.FAIL if proved:
            return False
        case _:
            return None


def _key(candidate: Candidate, number: int) -> CallKey:
    """The journal's key of the candidate's judge call `number`: the same for a turn that resumes."""
    ref = candidate.ref
    return CallKey(iteration=ref.iteration, operator=Operator.JUDGE, slot=ref.slot, attempt=1 + _STRIDE * number)


class NoJudgePanel:
    """The twin for jobs without `judge` checks."""

    def judge(
        self, claim: Claim, job: Job, candidate: Candidate, checks: Sequence[CheckSpec], heartbeat: Heartbeat
    ) -> tuple[Verdict, ...]:
        """No verdict: nothing that a judge must accept is accepted."""
        return ()
