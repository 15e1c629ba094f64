"""The verdicts on an iteration's candidates: deterministic checks first, then the judges. Over ports only; must not
know how a candidate was made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.crashpoints import CrashPoint, passing
from tasks.policy import JUDGES
from tasks.ports import Checks, JudgePanel, Ledger
from tasks.turn import Turn
from tasks.types import Candidate, Job, OpenIteration, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Checks and judges candidates, and commits the verdicts of one candidate at a time."""

    ledger: Ledger
    checks: Checks
    judge_panel: JudgePanel

    def check(self, turn: Turn, iteration: OpenIteration, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The candidates with their deterministic verdicts. Raises `PluginUnavailable`, `SandboxUnavailable`, and
        what the turn's heartbeat raises."""
        return tuple(
            self._check(turn, candidate) if is_unchecked(turn.job, iteration, candidate) else candidate
            for candidate in candidates
        )

    def judge(self, turn: Turn, iteration: OpenIteration, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The candidates with the judges' verdicts on those that passed all else; any fail fails. Raises
        `LimitReached`, `EngineFault`, and what the turn's heartbeat raises."""
        return tuple(
            self._judge(turn, candidate) if is_unjudged(turn.job, iteration, candidate) else candidate
            for candidate in candidates
        )

    def _check(self, turn: Turn, candidate: Candidate) -> Candidate:
        turn.heartbeat.checkpoint()
        checks = [check for check in turn.job.spec.checks if check.kind not in JUDGES]
        verdicts = self.checks.validate(candidate.text, checks, turn.heartbeat)
        return self._commit(turn, candidate, verdicts)

    def _judge(self, turn: Turn, candidate: Candidate) -> Candidate:
        checks = [check for check in turn.job.spec.checks if check.kind in JUDGES]
        verdicts = self.judge_panel.judge(turn, candidate, checks)
        return self._commit(turn, candidate, (*candidate.verdicts, *verdicts))

    def _commit(self, turn: Turn, candidate: Candidate, verdicts: tuple[Verdict, ...]) -> Candidate:
        score, accepted = self.checks.grade(verdicts, turn.job.spec.checks)
        checked = dataclasses.replace(candidate, verdicts=verdicts, score=score, accepted=accepted)
        self.ledger.commit_verdicts(turn.claim, checked, done=not _awaits_judges(turn.job, checked))
        passing(CrashPoint.CHECKED)
        return checked


def is_unchecked(job: Job, iteration: OpenIteration, candidate: Candidate) -> bool:
    """Whether its deterministic checks are still to run; a degenerate candidate is not checked."""
    new = candidate.guard is None and candidate.ref.slot not in iteration.checked and not candidate.verdicts
    return new and any(check.kind not in JUDGES for check in job.spec.checks)


def is_unjudged(job: Job, iteration: OpenIteration, candidate: Candidate) -> bool:
    """Whether its judges have still to vote, which they do only where all else passed."""
    pending = candidate.guard is None and candidate.ref.slot not in iteration.checked
    return pending and _awaits_judges(job, candidate)


def _awaits_judges(job: Job, candidate: Candidate) -> bool:
    """Whether all verdicts so far are passes, and there are judges that have not voted."""
    decided = {verdict.check for verdict in candidate.verdicts}
    return all(verdict.passed for verdict in candidate.verdicts) and any(
        check.kind in JUDGES and check.name not in decided for check in job.spec.checks
    )
