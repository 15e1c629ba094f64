"""The verdicts on an iteration's candidates: deterministic checks first, then the judges; and what candidates do on the
inputs of a probe. Over ports only; must not know how a candidate was made."""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tasks.crashpoints import CrashPoint, passing
from tasks.edits import EditError, edited
from tasks.jobfiles import checks_on, refusal, told
from tasks.policy import JUDGES, is_executable, is_unapplied, repeated
from tasks.ports import Checks, JudgePanel, Ledger
from tasks.scoring import fitness_of, goal_of, reaches
from tasks.turn import Turn
from tasks.types import Candidate, CheckSpec, Iteration, Job, OpenIteration, Verdict

# A candidate with its behaviour, and its verdicts.
_Examined = tuple[Candidate, tuple[Verdict, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Checks and judges candidates, and commits the verdicts of one candidate at a time."""

    ledger: Ledger
    checks: Checks
    judge_panel: JudgePanel

    def check(self, turn: Turn, iteration: OpenIteration, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The candidates with their deterministic verdicts. Raises `PluginUnavailable`, `SandboxUnavailable`, and
        what the turn's heartbeat raises."""
        unchecked = [candidate for candidate in candidates if is_unchecked(turn.job, iteration, candidate)]
        checked: list[Candidate] = []
        with self._examined(turn, unchecked) as examined:
            for candidate in candidates:
                new = is_unchecked(turn.job, iteration, candidate)
                checked.append(self._commit(turn, *next(examined), checked) if new else candidate)
        return tuple(checked)

    def judge(self, turn: Turn, iteration: OpenIteration, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The candidates with the judges' verdicts on those that passed all else; any fail fails. Raises
        `LimitReached`, `EngineFault`, and what the turn's heartbeat raises."""
        judged: list[Candidate] = []
        for candidate in candidates:
            new = is_unjudged(turn.job, iteration, candidate)
            judged.append(self._judge(turn, candidate, judged) if new else candidate)
        return tuple(judged)

    def observe(self, turn: Turn, inputs: Sequence[str]) -> tuple[Iteration, ...]:
        """The job's history, in which every accepted candidate has its behaviour on `inputs`; each is committed. Raises
        as `check` does."""
        return tuple(
            dataclasses.replace(
                iteration,
                candidates=tuple(self._observe(turn, candidate, inputs) for candidate in iteration.candidates),
            )
            for iteration in turn.job.history
        )

    def _observe(self, turn: Turn, candidate: Candidate, inputs: Sequence[str]) -> Candidate:
        if not is_unobserved(candidate):
            return candidate
        turn.heartbeat.checkpoint()
        behaviour = self.checks.behaviour(candidate.text, turn.job.spec.checks, inputs, turn.heartbeat)
        if behaviour is None:
            return candidate
        self.ledger.commit_behaviour(turn.claim, candidate.ref, behaviour)
        passing(CrashPoint.OBSERVED)
        return dataclasses.replace(candidate, behaviour=behaviour)

    @contextmanager
    def _examined(self, turn: Turn, candidates: Sequence[Candidate]) -> Iterator[Iterator[_Examined]]:
        """The candidates with their verdicts, in their order. Those of a job with a score are examined side by side,
        since evaluators take long; the sandbox runs as many programs at once as there are cores."""
        examine = partial(self._examine, turn)
        if goal_of(turn.job.spec.checks) is None or len(candidates) < 2:
            yield map(examine, candidates)
            return
        pool = ThreadPoolExecutor(max_workers=len(candidates), thread_name_prefix="check")
        try:
            contexts = [contextvars.copy_context() for _ in candidates]
            yield pool.map(lambda context, candidate: context.run(examine, candidate), contexts, candidates)
        finally:
            pool.shutdown(cancel_futures=True)

    def _examine(self, turn: Turn, candidate: Candidate) -> _Examined:
        turn.heartbeat.checkpoint()
        try:
            checks = _checks(turn.job, candidate)
        except EditError as error:
            return candidate, (refusal(error),)
        programs = [check for check in checks if check.kind not in JUDGES]
        verdicts = told(turn.job, candidate, self.checks.validate(candidate.text, programs, turn.heartbeat))
        inputs = inputs_of(turn.job) if all(verdict.passed for verdict in verdicts) else ()
        behaviour = self.checks.behaviour(candidate.text, turn.job.spec.checks, inputs, turn.heartbeat)
        return dataclasses.replace(candidate, behaviour=behaviour), verdicts

    def _judge(self, turn: Turn, candidate: Candidate, before: Sequence[Candidate]) -> Candidate:
        try:
            _checks(turn.job, candidate)
        except EditError as error:  # no program has looked at it before
            return self._commit(turn, candidate, (refusal(error),), before)
        checks = [check for check in turn.job.spec.checks if check.kind in JUDGES]
        verdicts = self.judge_panel.judge(turn, candidate, checks)
        return self._commit(turn, candidate, (*candidate.verdicts, *verdicts), before)

    def _commit(
        self, turn: Turn, candidate: Candidate, verdicts: tuple[Verdict, ...], before: Sequence[Candidate]
    ) -> Candidate:
        """Stores the verdicts, and whether the candidate is a rejected one again: of the history, or one `before` it in
        its iteration."""
        checks = turn.job.spec.checks
        score, valid = self.checks.grade(verdicts, checks)
        goal, fitness = goal_of(checks), fitness_of(verdicts, checks) if valid else None
        accepted = valid and (goal is None or reaches(fitness, goal))
        checked = dataclasses.replace(candidate, verdicts=verdicts, score=score, fitness=fitness, accepted=accepted)
        earlier = (*(c for iteration in turn.job.history for c in iteration.candidates), *before)
        same = repeated(checked, earlier, executable=is_executable(turn.job.spec))
        checked = dataclasses.replace(checked, repeats=same)
        self.ledger.commit_verdicts(turn.claim, checked, done=not _awaits_judges(turn.job, checked))
        passing(CrashPoint.CHECKED)
        return checked


def inputs_of(job: Job) -> tuple[str, ...]:
    """The inputs of the job's last probe; none before one."""
    return next((iteration.inputs for iteration in reversed(job.history) if iteration.inputs), ())


def is_unobserved(candidate: Candidate) -> bool:
    """Whether a probe is to run it: it passed the checks, and nobody knows yet what it does."""
    return candidate.accepted and candidate.behaviour is None


def is_unchecked(job: Job, iteration: OpenIteration, candidate: Candidate) -> bool:
    """Whether its deterministic checks are still to run; a degenerate candidate is not checked."""
    new = candidate.guard is None and candidate.ref.slot not in iteration.checked and not candidate.verdicts
    return new and any(check.kind not in JUDGES for check in job.spec.checks)


def is_unjudged(job: Job, iteration: OpenIteration, candidate: Candidate) -> bool:
    """Whether its judges have still to vote, which they do only where all else passed."""
    pending = candidate.guard is None and candidate.ref.slot not in iteration.checked
    return pending and _awaits_judges(job, candidate)


def _checks(job: Job, candidate: Candidate) -> tuple[CheckSpec, ...]:
    """The job's checks as they see the candidate. Raises `EditError` where it is edits that don't apply."""
    if is_unapplied(candidate):
        for parent in (c for earlier in job.iterations for c in earlier.candidates if c.ref == candidate.parent):
            edited(candidate.text, parent.text)
        raise EditError("The edits were not applied.")
    return checks_on(job, candidate)


def _awaits_judges(job: Job, candidate: Candidate) -> bool:
    """Whether all verdicts so far are passes, and there are judges that have not voted."""
    decided = {verdict.check for verdict in candidate.verdicts}
    return all(verdict.passed for verdict in candidate.verdicts) and any(
        check.kind in JUDGES and check.name not in decided for check in job.spec.checks
    )
