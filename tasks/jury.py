"""The second agent: judges a candidate by the job's `judge` checks, with prompts of its own. Over ports only.

A vote is two calls: a free report that lists problems only, each with a quote that is looked up in the candidate, and
a ruling on what is left of it, which can only be PASS or FAIL. Any fail fails [pessimistic verification, arXiv
2511.21522]; votes differ by prompt and not by seed alone [2604.02450].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tasks import window
from tasks.journal import JournalledModel
from tasks.policy import JUDGES
from tasks.ports import Pulse
from tasks.types import CallKey, Candidate, CheckSpec, Claim, Job, Operator, Verdict

# Beside deterministic checks, and alone: five passes in a row [Huang & Yang, arXiv 2507.15855].
VOTES_BESIDE_CHECKS = 3
VOTES_ALONE = 5
# An invalid vote is asked again once: it says something of the judge, nothing of the candidate.
TRIES = 2
RULING_TOKENS = 8
# Journal: the calls of one slot are numbered apart by more than the ladder of one call is long.
ATTEMPTS_A_CALL = 10
NO_PROBLEMS = "NO PROBLEMS"
PASS, FAIL = "PASS", "FAIL"


class NoJury:
    """The twin for jobs without `judge` checks."""

    def deliberate(
        self, claim: Claim, job: Job, candidate: Candidate, checks: Sequence[CheckSpec], pulse: Pulse
    ) -> tuple[Verdict, ...]:
        """No verdict: nothing that a judge must accept is accepted."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One judge's word; `passed` is None where it gave none that counts. `problems` are those that it proved."""

    passed: bool | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Jury:
    """Implements `tasks.ports.Jury`."""

    model: JournalledModel

    def deliberate(
        self, claim: Claim, job: Job, candidate: Candidate, checks: Sequence[CheckSpec], pulse: Pulse
    ) -> tuple[Verdict, ...]:
        """One verdict a check, the visible ones first; a held-out one is judged only where those passed. Raises
        `LimitReached`, `EngineFault`, and what `pulse` raises."""
        alone = all(check.kind in JUDGES for check in job.spec.checks)
        votes = VOTES_ALONE if alone else VOTES_BESIDE_CHECKS
        verdicts: list[Verdict] = []
        for number, check in enumerate(checks):  # numbered as the job has them, whatever the order
            if not check.held_out:
                verdicts.append(self._try(claim, job, candidate, check, number, votes, pulse))
        if all(verdict.passed for verdict in verdicts):
            for number, check in enumerate(checks):
                if check.held_out:
                    verdicts.append(self._try(claim, job, candidate, check, number, votes, pulse))
        return tuple(verdicts)

    def _try(
        self, claim: Claim, job: Job, candidate: Candidate, check: CheckSpec, number: int, votes: int, pulse: Pulse
    ) -> Verdict:
        """The votes on one check, until one fails it."""
        passes, seconds, failed = 0, 0.0, False
        problems: tuple[str, ...] = ()
        for vote in range(votes):
            said = Vote(passed=None)
            for again in range(TRIES):
                call = ((number * VOTES_ALONE + vote) * TRIES + again) * 2
                said, took = self._vote(claim, job, candidate, check, vote, call, pulse)
                seconds += took
                if said.passed is not None:
                    break
            passes += said.passed is True
            if said.passed is False:
                failed, problems = True, said.problems
                break
        passed = passes == votes
        feedback = "" if passed else "\n".join(f"- {problem}" for problem in problems)
        if not passed and not failed:
            feedback = f"The judges gave {passes} valid votes of {votes}, all for the answer: too few to accept it."
        return Verdict(
            check=check.name,
            kind=check.kind,
            passed=passed,
            score=passes / votes,
            held_out=check.held_out,
            feedback=feedback,
            seconds=seconds,
        )

    def _vote(
        self, claim: Claim, job: Job, candidate: Candidate, check: CheckSpec, vote: int, call: int, pulse: Pulse
    ) -> tuple[Vote, float]:
        """One vote and the seconds it took. A report without a proven problem can't fail the candidate."""
        rubric = window.rubric(check)
        key = CallKey(
            iteration=candidate.ref.iteration,
            operator=Operator.JUDGE,
            slot=candidate.ref.slot,
            attempt=1 + call * ATTEMPTS_A_CALL,
        )
        lens = window.LENSES[vote % len(window.LENSES)]
        report = self.model.ask(claim, key, job.spec.seed, partial(_report, job, candidate, rubric, lens), pulse)
        if report.guard is not None:
            return Vote(passed=None), report.seconds
        problems = window.bugs(report.text, candidate.text)
        if not problems and NO_PROBLEMS in report.text.upper():
            return Vote(passed=True), report.seconds
        key = CallKey(
            iteration=key.iteration, operator=key.operator, slot=key.slot, attempt=1 + (call + 1) * ATTEMPTS_A_CALL
        )
        ruling = self.model.ask(
            claim,
            key,
            job.spec.seed,
            partial(_ruling, job, candidate, rubric, problems),
            pulse,
            choices=(PASS, FAIL),
            tokens=RULING_TOKENS,
        )
        seconds = report.seconds + ruling.seconds
        word = ruling.text.strip().upper()
        if ruling.guard is not None or word not in (PASS, FAIL) or (word == FAIL and not problems):
            return Vote(passed=None), seconds
        return Vote(passed=word == PASS, problems=problems), seconds


def _report(job: Job, candidate: Candidate, rubric: str, lens: str, shorten: int) -> window.Messages:
    return window.judge(job, candidate, rubric, lens, shorten=shorten)


def _ruling(job: Job, candidate: Candidate, rubric: str, problems: tuple[str, ...], shorten: int) -> window.Messages:
    return window.ruling(job, candidate, rubric, problems, shorten=shorten)
