"""The correction loop: attempt → guard → validate → decide → record. Everything else is called from here.

Over ports only: it knows no database, no server and no clock but the one it is handed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from tasks.crashpoints import CrashPoint, passing
from tasks.errors import (
    AttachmentLost,
    Cancelled,
    JournalMismatch,
    LimitReached,
    MalformedJob,
    MemoryUnavailable,
    NeedsLane,
    Paused,
    ServiceFault,
    ShuttingDown,
)
from tasks.journal import JournalledModel
from tasks.policy import JUDGES, engine_lane, limits_of
from tasks.ports import Cloud, Heartbeat, JudgePanel, Ledger, LessonService, Sandbox, Strategy
from tasks.prompts import build, parse
from tasks.types import (
    CallKey,
    Candidate,
    CandidateRef,
    CheckSpec,
    Claim,
    Completion,
    Decision,
    Draft,
    Escalate,
    Iteration,
    Job,
    JobState,
    Lane,
    Lesson,
    Limits,
    Modality,
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

    `validate` runs a candidate's deterministic checks, `grade` gives the score of verdicts and whether they accept,
    `examine` says which of a stored job's checks could never be decided here; `hours` gives how long a job has run;
    `say` hears what happens; `width` is 0 on a worker without an engine; `modalities` are what the model takes.
    """

    ledger: Ledger
    model: JournalledModel
    strategies: Mapping[str, Strategy]
    validate: Callable[[str, Sequence[CheckSpec], Sandbox, Heartbeat], tuple[Verdict, ...]]
    grade: Callable[[Sequence[Verdict], Sequence[CheckSpec]], tuple[float, bool]]
    sandbox: Sandbox
    judge_panel: JudgePanel
    lesson_service: LessonService
    cloud: Cloud
    width: int
    move_up_after: int
    escalate_after: int
    hours: Callable[[Job], float]
    say: Callable[[TurnReport], None]
    modalities: frozenset[Modality] = frozenset(Modality)
    examine: Callable[[Sequence[CheckSpec]], str] = lambda checks: ""

    def turn(self, claim: Claim, lanes: frozenset[Lane], heartbeat: Heartbeat) -> None:
        """Goes on with the job through the steps that `lanes` serve, and gives the lease back.

        Raises `LeaseLost` where somebody else holds the job by now, `DatabaseUnavailable` where nothing
        can be written: then the lease runs out and another turn goes on from the journal.
        """
        lane = Lane.GPU
        try:
            job = self.ledger.load(claim)
            lane = job.lane
            self._examine(job)
            if not job.spec.modalities <= self.modalities:  # its model would be shown what it doesn't take
                lanes -= ENGINE_LANES
            if job.ended is None:
                self._iterate(claim, job, lanes, heartbeat)
            else:
                self._distil_lesson(claim, job, lanes, heartbeat)
        except LimitReached as limit:
            self.ledger.stop(claim, Stop(state=JobState.UNSOLVED, why=str(limit)))
        except Cancelled:
            self.ledger.stop(claim, Stop(state=JobState.CANCELLED, why="cancelled by its owner"))
        except Paused:
            self.ledger.hand_over(claim, lane)
        except ShuttingDown:
            self.ledger.hand_over(claim, lane, interrupted=True)
        except NeedsLane as elsewhere:
            self.ledger.hand_over(claim, elsewhere.lane)
            passing(CrashPoint.HANDED_OVER)
        except (JournalMismatch, AttachmentLost, MalformedJob) as defect:
            self.ledger.stop(claim, Stop(state=JobState.FAILED, why=str(defect)))
        except ServiceFault as fault:
            if fault.service == "postgres":
                raise
            self.ledger.hand_over(claim, lane, fault=f"{fault.service}: {fault}")

    def _examine(self, job: Job) -> None:
        """Raises `MalformedJob` where the job names what this worker doesn't have: it would never be solved here."""
        if job.spec.strategy not in self.strategies:
            raise MalformedJob(
                f"strategy: {job.spec.strategy!r} is stored, and not one of {', '.join(sorted(self.strategies))}"
            )
        defect = self.examine(job.spec.checks)
        if defect:
            raise MalformedJob(defect)

    def _iterate(self, claim: Claim, job: Job, lanes: frozenset[Lane], heartbeat: Heartbeat) -> None:
        """One iteration: attempt, checks, judges, decision. Raises `NeedsLane` before a step of another lane."""
        limits = self._limits(job)
        engine = engine_lane(job.spec.lane, job.history, limits)
        begun = job.open
        if begun is None:
            job, begun = self._begin(claim, job, limits)
            if begun is None:
                return
        candidates = begun.candidates
        if not candidates:
            _need(Lane.CLOUD if isinstance(begun.move, Escalate) else engine, lanes)
            self._tell(job, begun.number, job.incumbent, str(operator_of(begun.move)))
            candidates = self._attempt(claim, job, begun, heartbeat)
            self.ledger.commit_candidates(claim, begun.number, candidates)
            passing(CrashPoint.CANDIDATES_COMMITTED)
        if any(_unchecked(job, begun, candidate) for candidate in candidates):
            _need(Lane.CHECK, lanes)
            self._tell(job, begun.number, job.incumbent, "validate")
            candidates = self._check(claim, job, begun, candidates, heartbeat)
        if any(_unjudged(job, begun, candidate) for candidate in candidates):
            _need(engine, lanes)
            self._tell(job, begun.number, job.incumbent, "judge")
            candidates = self._judge(claim, job, begun, candidates, heartbeat)
        iteration = Iteration(number=begun.number, operator=operator_of(begun.move), candidates=tuple(candidates))
        past = (*job.history, iteration)
        decision = self._decide(job, past, limits)
        ended = dataclasses.replace(job, history=past, ended=decision) if isinstance(decision, Stop) else None
        due = ended is not None and job.spec.memory and self.lesson_service.has_lesson(ended)
        lane = Lane.CLOUD if isinstance(decision, Escalate) else engine_lane(job.spec.lane, past, limits)
        passing(CrashPoint.DECIDED)
        self.ledger.record(claim, iteration, decision, lane=lane, lesson_due=due)
        passing(CrashPoint.RECORDED)
        best = max(candidates, key=lambda candidate: candidate.score, default=job.incumbent)
        self._tell(job, begun.number, best, describe(decision))

    def _distil_lesson(self, claim: Claim, job: Job, lanes: frozenset[Lane], heartbeat: Heartbeat) -> None:
        """A job that has ended owes its lesson: a step of its own, so that nobody waits for it to hear of the end."""
        _need(job.lane, lanes)
        self._tell(job, len(job.history), job.incumbent, "distil")
        lesson = self.lesson_service.distil(claim, job, heartbeat)
        passing(CrashPoint.DISTILLED)
        self.ledger.keep_lesson(claim, lesson)
        passing(CrashPoint.LESSON_KEPT)

    def _begin(self, claim: Claim, job: Job, limits: Limits) -> tuple[Job, OpenIteration | None]:
        """Opens the next iteration; the first one with the lessons that all its successors will see."""
        decision = self._decide(job, job.history, limits)
        if isinstance(decision, Stop):
            self.ledger.stop(claim, decision)
            return job, None
        lessons = job.lessons if job.lessons is not None else self._recall(claim, job)
        number = len(job.history) + 1
        self.ledger.begin(claim, number, decision, lessons)
        passing(CrashPoint.BEGUN)
        return dataclasses.replace(job, lessons=lessons), OpenIteration(number=number, move=decision)

    def _limits(self, job: Job) -> Limits:
        return limits_of(
            job,
            hours=self.hours(job),
            width=self.width or _drafted(job),
            escalate_after=self.escalate_after,
            move_up_after=self.move_up_after,
        )

    def _decide(self, job: Job, history: Sequence[Iteration], limits: Limits) -> Decision:
        return self.strategies[job.spec.strategy].decide(history, limits)

    def _recall(self, claim: Claim, job: Job) -> tuple[Lesson, ...]:
        """The lessons of earlier jobs. A memory that is away costs a job its lessons, not its run."""
        if not job.spec.memory:
            return ()
        try:
            return self.lesson_service.recall(job)
        except MemoryUnavailable as fault:
            self.ledger.note(claim, "no lessons", str(fault))
            return ()

    # ── attempt ──────────────────────────────────────────────────────────────────────────────

    def _attempt(self, claim: Claim, job: Job, begun: OpenIteration, heartbeat: Heartbeat) -> tuple[Candidate, ...]:
        """Every slot of the move at once: on a batching engine they cost little more than one.

        Where the budget pays for some slots only, those are the iteration's candidates.
        """
        jobs: list[Callable[[], Candidate]]
        match begun.move:
            case Draft(slots=slots):
                jobs = [partial(self._draft, claim, job, begun, slot, heartbeat) for slot in range(slots)]
            case Revise(parents=parents):
                jobs = [
                    partial(self._revise, claim, job, begun, slot, ref, heartbeat) for slot, ref in enumerate(parents)
                ]
            case Escalate():
                heartbeat.checkpoint()  # what is not asked yet, or runs at the cloud, is the next worker's
                made = self.cloud.answer(claim, job, begun.number, heartbeat)
                ref = CandidateRef(iteration=begun.number, slot=0)
                return (_candidate(made, ref=ref, operator=Operator.ESCALATE, root=ref),) if made else ()
            case _:
                assert_never(begun.move)
        drafted, failed = in_parallel(jobs)
        fatal = [error for error in failed if not isinstance(error, LimitReached)]
        if fatal or not drafted:
            raise (fatal or failed)[0]
        return tuple(drafted)

    def _draft(self, claim: Claim, job: Job, begun: OpenIteration, slot: int, heartbeat: Heartbeat) -> Candidate:
        operator, ref = operator_of(begun.move), CandidateRef(iteration=begun.number, slot=slot)
        key = CallKey(iteration=begun.number, operator=operator, slot=slot, attempt=1)
        made = self.model.ask(claim, key, job.spec.seed, lambda cut: build.draft(job, cut=cut), heartbeat)
        return _candidate(made, ref=ref, operator=operator, root=ref)

    def _revise(
        self, claim: Claim, job: Job, begun: OpenIteration, slot: int, parent_ref: CandidateRef, heartbeat: Heartbeat
    ) -> Candidate:
        """A review that lists problems only, each with a quote that is checked to be there, then the patch."""
        parent = next(c for past in job.history for c in past.candidates if c.ref == parent_ref)
        key = CallKey(iteration=begun.number, operator=Operator.REVIEW, slot=slot, attempt=1)
        review = self.model.ask(claim, key, job.spec.seed, lambda cut: build.review(job, parent, cut=cut), heartbeat)
        bugs = () if review.guard else parse.bugs(review.text, parent.text)
        key = dataclasses.replace(key, operator=Operator.REVISE)
        made = self.model.ask(
            claim, key, job.spec.seed, lambda cut: build.revise(job, parent, bugs, cut=cut), heartbeat
        )
        ref = CandidateRef(iteration=begun.number, slot=slot)
        return _candidate(
            made, ref=ref, operator=Operator.REVISE, root=parent.root, revision=parent.revision + 1, parent=parent.ref
        )

    # ── validate ─────────────────────────────────────────────────────────────────────────────

    def _check(
        self, claim: Claim, job: Job, begun: OpenIteration, candidates: Sequence[Candidate], heartbeat: Heartbeat
    ) -> tuple[Candidate, ...]:
        """The deterministic verdicts of each candidate, committed one candidate at a time."""
        checks = [check for check in job.spec.checks if check.kind not in JUDGES]
        checked: list[Candidate] = []
        for candidate in candidates:
            if not _unchecked(job, begun, candidate):
                checked.append(candidate)
                continue
            heartbeat.checkpoint()
            with _readable_checks():
                verdicts = self.validate(candidate.text, checks, self.sandbox, heartbeat)
            checked.append(self._commit(claim, job, candidate, verdicts))
        return tuple(checked)

    def _judge(
        self, claim: Claim, job: Job, begun: OpenIteration, candidates: Sequence[Candidate], heartbeat: Heartbeat
    ) -> tuple[Candidate, ...]:
        """The second agent's verdicts on each candidate that passed all else; any fail fails."""
        checks = [check for check in job.spec.checks if check.kind in JUDGES]
        judged: list[Candidate] = []
        for candidate in candidates:
            if _unjudged(job, begun, candidate):
                with _readable_checks():
                    verdicts = self.judge_panel.judge(claim, job, candidate, checks, heartbeat)
                judged.append(self._commit(claim, job, candidate, (*candidate.verdicts, *verdicts)))
            else:
                judged.append(candidate)
        return tuple(judged)

    def _commit(self, claim: Claim, job: Job, candidate: Candidate, verdicts: tuple[Verdict, ...]) -> Candidate:
        score, accepted = self.grade(verdicts, job.spec.checks)
        made = dataclasses.replace(candidate, verdicts=verdicts, score=score, accepted=accepted)
        self.ledger.commit_verdicts(claim, made, done=not _awaits_judges(job, made))
        passing(CrashPoint.CHECKED)
        return made

    def _tell(self, job: Job, number: int, best: Candidate | None, what: str) -> None:
        score = best.score if best else 0.0
        self.say(TurnReport(job=job.id, iteration=number, score=score, next=what))


@contextlib.contextmanager
def _readable_checks() -> Iterator[None]:
    """A check whose stored value its validator can't read would fail every turn alike."""
    try:
        yield
    except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
        raise MalformedJob(f"checks: one can't be decided ({type(error).__name__}: {error})") from error


def _drafted(job: Job) -> int:
    """How many candidates the job's drafting worker makes at once: the width of one without an engine."""
    begun = [job.open.move.slots] if job.open is not None and isinstance(job.open.move, Draft) else []
    fresh = (i for i in job.history if i.operator in (Operator.DRAFT, Operator.RESTART))
    return max([*begun, *(len(i.candidates) for i in fresh)], default=1)


def _need(lane: Lane, lanes: frozenset[Lane]) -> None:
    if lane not in lanes:
        raise NeedsLane(lane)


def _unchecked(job: Job, begun: OpenIteration, candidate: Candidate) -> bool:
    """Whether its deterministic checks are still to run; a degenerate candidate is not checked."""
    new = candidate.guard is None and candidate.ref.slot not in begun.checked and not candidate.verdicts
    return new and any(check.kind not in JUDGES for check in job.spec.checks)


def _unjudged(job: Job, begun: OpenIteration, candidate: Candidate) -> bool:
    """Whether its judges are still to speak, which they do only where all else passed."""
    return candidate.guard is None and candidate.ref.slot not in begun.checked and _awaits_judges(job, candidate)


def _awaits_judges(job: Job, candidate: Candidate) -> bool:
    """Whether all deterministic checks passed, and there are judges that have not spoken."""
    spoken = {verdict.check for verdict in candidate.verdicts}
    return all(verdict.passed for verdict in candidate.verdicts) and any(
        check.kind in JUDGES and check.name not in spoken for check in job.spec.checks
    )


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
