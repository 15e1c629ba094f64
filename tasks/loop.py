"""The correction loop: attempt → guard → validate → decide → record. Everything else is called from here.

Over ports only: it knows no database, no server and no clock but the one it is handed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from tasks import window
from tasks.errors import Cancelled, JournalMismatch, LimitReached, ServiceFault, ShuttingDown
from tasks.journal import JournalledModel
from tasks.ports import Ledger, Pulse, Sandbox, Strategy
from tasks.types import (
    CallKey,
    Candidate,
    CandidateRef,
    CheckSpec,
    Claim,
    Completion,
    Decision,
    Draft,
    Iteration,
    Job,
    JobState,
    Lane,
    Limits,
    OpenIteration,
    Operator,
    Revise,
    Stop,
    TurnReport,
    Verdict,
    describe,
    operator_of,
)

ENGINE_LANES = frozenset({Lane.GPU, Lane.FAST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Takes turns at jobs. A turn is at most one iteration.

    `validate` runs a candidate's checks; `hours` tells how long a job has run; `say` is told what happens.
    """

    ledger: Ledger
    model: JournalledModel
    strategies: Mapping[str, Strategy]
    validate: Callable[[str, Sequence[CheckSpec], Sandbox, Pulse], tuple[Verdict, ...]]
    judge: Callable[[Sequence[Verdict], Sequence[CheckSpec]], tuple[float, bool]]
    sandbox: Sandbox
    width: int
    hours: Callable[[Job], float]
    say: Callable[[TurnReport], None]

    def turn(self, claim: Claim, lanes: frozenset[Lane], pulse: Pulse) -> None:
        """Goes on with the job through the steps that `lanes` serve, and gives the lease back.

        Raises `LeaseLost` where somebody else holds the job by now, `DatabaseUnavailable` where nothing
        can be written: then the lease runs out and another turn goes on from the journal.
        """
        lane = Lane.GPU
        try:
            job = self.ledger.load(claim)
            lane = job.lane
            self._iterate(claim, job, lanes, pulse)
        except LimitReached as limit:
            self.ledger.stop(claim, Stop(state=JobState.UNSOLVED, why=str(limit)))
        except Cancelled:
            self.ledger.stop(claim, Stop(state=JobState.CANCELLED, why="cancelled by its owner"))
        except ShuttingDown:
            self.ledger.hand_over(claim, lane)
        except JournalMismatch as defect:
            self.ledger.stop(claim, Stop(state=JobState.FAILED, why=str(defect)))
        except ServiceFault as fault:
            if fault.service == "postgres":
                raise
            self.ledger.hand_over(claim, lane, fault=f"{fault.service}: {fault}")

    def _iterate(self, claim: Claim, job: Job, lanes: frozenset[Lane], pulse: Pulse) -> None:
        begun = job.open or self._begin(claim, job)
        if begun is None:
            return
        candidates = begun.candidates
        if not candidates:
            if not lanes & ENGINE_LANES:
                return self.ledger.hand_over(claim, job.spec.lane)
            self._tell(job, begun, job.incumbent, str(operator_of(begun.move)))
            candidates = self._attempt(claim, job, begun, pulse)
            self.ledger.commit_candidates(claim, begun.number, candidates)
        if Lane.CHECK not in lanes:
            return self.ledger.hand_over(claim, Lane.CHECK)
        self._tell(job, begun, job.incumbent, "validate")
        checked = self._check(claim, job, begun, candidates, pulse)
        iteration = Iteration(number=begun.number, operator=operator_of(begun.move), candidates=checked)
        decision = self._decide(job, (*job.history, iteration))
        self.ledger.record(claim, iteration, decision)
        best = max(checked, key=lambda candidate: candidate.score)
        self._tell(job, begun, best, describe(decision))

    def _begin(self, claim: Claim, job: Job) -> OpenIteration | None:
        decision = self._decide(job, job.history)
        if isinstance(decision, Stop):
            self.ledger.stop(claim, decision)
            return None
        number = len(job.history) + 1
        self.ledger.begin(claim, number, decision)
        return OpenIteration(number=number, move=decision)

    def _decide(self, job: Job, history: Sequence[Iteration]) -> Decision:
        limits = Limits(budget=job.spec.budget, spend=job.spend, hours=self.hours(job), width=self.width)
        return self.strategies[job.spec.strategy].decide(history, limits)

    # ── attempt ──────────────────────────────────────────────────────────────────────────────

    def _attempt(self, claim: Claim, job: Job, begun: OpenIteration, pulse: Pulse) -> tuple[Candidate, ...]:
        """Every slot of the move at once: on a batching engine they cost little more than one.

        Where the budget pays for some slots only, those are the iteration's candidates.
        """
        jobs: list[Callable[[], Candidate]]
        match begun.move:
            case Draft(slots=slots):
                jobs = [partial(self._draft, claim, job, begun, slot, pulse) for slot in range(slots)]
            case Revise(parents=parents):
                jobs = [partial(self._revise, claim, job, begun, slot, ref, pulse) for slot, ref in enumerate(parents)]
            case _:
                assert_never(begun.move)
        made, failed = in_parallel(jobs)
        fatal = [error for error in failed if not isinstance(error, LimitReached)]
        if fatal or not made:
            raise (fatal or failed)[0]
        return tuple(made)

    def _draft(self, claim: Claim, job: Job, begun: OpenIteration, slot: int, pulse: Pulse) -> Candidate:
        operator, ref = operator_of(begun.move), CandidateRef(iteration=begun.number, slot=slot)
        key = CallKey(iteration=begun.number, operator=operator, slot=slot, attempt=1)
        made = self.model.ask(claim, key, job.spec.seed, lambda shorten: window.draft(job, shorten=shorten), pulse)
        return _candidate(made, ref=ref, operator=operator, root=ref)

    def _revise(
        self, claim: Claim, job: Job, begun: OpenIteration, slot: int, parent_ref: CandidateRef, pulse: Pulse
    ) -> Candidate:
        """A review that lists problems only, each with a quote that is checked to be there, then the patch."""
        parent = next(c for past in job.history for c in past.candidates if c.ref == parent_ref)
        key = CallKey(iteration=begun.number, operator=Operator.REVIEW, slot=slot, attempt=1)
        review = self.model.ask(
            claim, key, job.spec.seed, lambda shorten: window.review(job, parent, shorten=shorten), pulse
        )
        bugs = () if review.guard else window.bugs(review.text, parent.text)
        key = dataclasses.replace(key, operator=Operator.REVISE)
        made = self.model.ask(
            claim, key, job.spec.seed, lambda shorten: window.revise(job, parent, bugs, shorten=shorten), pulse
        )
        ref = CandidateRef(iteration=begun.number, slot=slot)
        return _candidate(
            made, ref=ref, operator=Operator.REVISE, root=parent.root, revision=parent.revision + 1, parent=parent.ref
        )

    # ── validate ─────────────────────────────────────────────────────────────────────────────

    def _check(
        self, claim: Claim, job: Job, begun: OpenIteration, candidates: Sequence[Candidate], pulse: Pulse
    ) -> tuple[Candidate, ...]:
        """The verdicts of each candidate, committed one candidate at a time; a degenerate one is not checked."""
        checked: list[Candidate] = []
        for candidate in candidates:
            if candidate.ref.slot in begun.checked or candidate.guard is not None:
                checked.append(candidate)
                continue
            pulse.check()
            verdicts = self.validate(candidate.text, job.spec.checks, self.sandbox, pulse)
            score, accepted = self.judge(verdicts, job.spec.checks)
            judged = dataclasses.replace(candidate, verdicts=verdicts, score=score, accepted=accepted)
            self.ledger.commit_verdicts(claim, judged)
            checked.append(judged)
        return tuple(checked)

    def _tell(self, job: Job, begun: OpenIteration, best: Candidate | None, what: str) -> None:
        score = best.score if best else 0.0
        self.say(TurnReport(job=job.id, iteration=begun.number, score=score, next=what))


def _candidate(
    made: Completion,
    *,
    ref: CandidateRef,
    operator: Operator,
    root: CandidateRef,
    revision: int = 0,
    parent: CandidateRef | None = None,
) -> Candidate:
    return Candidate(
        ref=ref,
        operator=operator,
        text=made.text,
        root=root,
        revision=revision,
        parent=parent,
        guard=made.guard.kind if made.guard else None,
    )


def in_parallel(
    steps: Sequence[Callable[[], Candidate]],
) -> tuple[list[Candidate], list[Exception]]:
    """Runs all steps to their end, each in a thread; returns what they made and what they raised."""
    made: list[Candidate] = []
    failed: list[Exception] = []
    with ThreadPoolExecutor(max_workers=len(steps), thread_name_prefix="slot") as pool:
        for future in [pool.submit(step) for step in steps]:
            error = future.exception()
            if error is None:
                made.append(future.result())
            elif isinstance(error, Exception):
                failed.append(error)
            else:
                raise error
    return made, failed
