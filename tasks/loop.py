"""The correction loop: attempt → guard → validate → decide → record. Everything else is called from here.

Over ports only: it knows no database, no server and no clock but the one it is handed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.crashpoints import CrashPoint, passing
from tasks.deadline import Clock
from tasks.errors import ChecksChanged, JobFailed, LimitReached, MemoryUnavailable, PluginUnavailable, ProblemTooLong
from tasks.heartbeat import Heartbeat
from tasks.operators import Operators
from tasks.outcomes import settle
from tasks.policy import (
    LoopRules,
    choose,
    deadline_of,
    decider,
    engine_lane,
    is_outdated,
    limits_of,
    settled,
)
from tasks.ports import Ledger, LessonService, Strategy
from tasks.progress import NO_PROGRESS, Progress
from tasks.reasons import describe
from tasks.turn import Turn
from tasks.types import (
    Ask,
    Candidate,
    Claim,
    Decision,
    Escalate,
    EscalationKind,
    Iteration,
    Job,
    Lane,
    Lesson,
    Limits,
    OpenIteration,
    Probe,
    Recheck,
    Start,
    Stop,
    StopCode,
    operator_of,
)
from tasks.validation import Validation, is_unchecked, is_unjudged, is_unobserved

ENGINE_LANES = frozenset({Lane.GPU, Lane.FAST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Takes turns at jobs. A turn is at most one iteration.

    `broken` are strategies that are installed and can't be loaded, each with why; `secrets` are values that no event
    may show.
    """

    ledger: Ledger
    operators: Operators
    validation: Validation
    lesson_service: LessonService
    strategies: Mapping[str, Strategy]
    rules: LoopRules
    broken: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    clock: Clock = time.monotonic

    def turn(
        self, claim: Claim, lanes: frozenset[Lane], heartbeat: Heartbeat, progress: Progress = NO_PROGRESS
    ) -> None:
        """Goes on with the job through the steps that `lanes` serve, and gives the lease back.

        Raises `LeaseLost` where somebody else holds the job by now, `DatabaseUnavailable` where nothing
        can be written: then the lease runs out and another turn goes on from the journal.
        """
        lane = claim.lane
        try:
            job = self.ledger.load(claim)
            lane = job.lane
            self._examine(job)
            lanes = self._lanes_for(job, lanes)
            turn = Turn(claim=claim, job=job, lanes=lanes, heartbeat=heartbeat, progress=progress)
            if job.ended is None:
                self._iterate(turn.until(deadline_of(job, self.clock)))
            else:
                self._distil_lesson(turn)
        except Exception as error:  # noqa: BLE001 - whatever a strategy or a validator raises is an outcome, too
            end = settle(self.ledger, claim, lane, error, self.secrets)
            progress.ended(end.said, failed=end.failed)

    def _iterate(self, turn: Turn) -> None:
        """One iteration. Raises `NeedsLane` before a step of another lane."""
        turn = turn if turn.job.open else self._begin(turn)
        iteration = turn.job.open
        if iteration is None:  # the job has stopped
            return
        operator = operator_of(iteration.move)
        try:
            match iteration.move:
                case Probe():
                    turn, inputs = self._probe(turn, iteration)
                    recorded = Iteration(number=iteration.number, operator=operator, candidates=(), inputs=inputs)
                case Ask():
                    self._ask(turn, iteration)
                    return
                case Escalate(kind=kind) if kind.is_hint:
                    hint = self._hint(turn, iteration, kind)
                    recorded = Iteration(number=iteration.number, operator=operator, candidates=(), hint=hint)
                case _:
                    candidates = iteration.candidates or self._attempt(turn, iteration)
                    candidates = self._validate(turn, iteration, candidates)
                    recorded = Iteration(number=iteration.number, operator=operator, candidates=candidates)
        except LimitReached as limit:
            self._conclude(turn, limit)
            return
        self._record(turn, recorded)

    def _begin(self, turn: Turn) -> Turn:
        """Opens the job's first iteration, with the lessons that all later ones will see, or stops the job."""
        job = turn.job
        move = self._decide(job)
        if isinstance(move, Stop):
            self.ledger.stop(turn.claim, move)
            return turn
        lessons = job.lessons if job.lessons is not None else self._recall(turn)
        number = len(job.iterations) + 1
        hints = self.ledger.begin(turn.claim, number, move, lessons)
        passing(CrashPoint.BEGUN)
        opened = OpenIteration(number=number, move=move)
        return turn.of(dataclasses.replace(job, lessons=lessons, hints=hints, waiting_hints=0, open=opened))

    def _attempt(self, turn: Turn, iteration: OpenIteration) -> tuple[Candidate, ...]:
        turn.need(self._lane_of(iteration.move, turn.job))
        turn.report(str(operator_of(iteration.move)))
        candidates = self.operators.attempt(turn, iteration)
        self.ledger.commit_candidates(turn.claim, iteration.number, candidates)
        passing(CrashPoint.CANDIDATES_COMMITTED)
        return candidates

    def _ask(self, turn: Turn, iteration: OpenIteration) -> None:
        """The question is written, and the job waits for its answer with nothing held."""
        turn.need(self._engine_lane(turn.job))
        turn.report(str(operator_of(iteration.move)))
        question = self.operators.question(turn, iteration)
        passing(CrashPoint.QUESTION_WRITTEN)
        self.ledger.ask(turn.claim, iteration.number, question, hours=turn.job.spec.ask_hours)
        passing(CrashPoint.ASKED)

    def _hint(self, turn: Turn, iteration: OpenIteration, kind: EscalationKind) -> str:
        """The advice that came, which the prompts of all later iterations carry. Until the iteration is recorded it is
        in the ledger of escalations."""
        turn.need(Lane.CLOUD)
        turn.report(str(operator_of(iteration.move)))
        return self.operators.hint(turn, iteration, kind)

    def _probe(self, turn: Turn, iteration: OpenIteration) -> tuple[Turn, tuple[str, ...]]:
        """The turn with what its job's candidates do, and the inputs that tell them apart."""
        inputs = iteration.inputs
        if inputs is None:
            turn.need(self._engine_lane(turn.job))
            turn.report(str(operator_of(iteration.move)))
            inputs = self.operators.inputs(turn, iteration)
            self.ledger.commit_inputs(turn.claim, iteration.number, inputs)
            passing(CrashPoint.INPUTS_COMMITTED)
        if inputs and any(is_unobserved(c) for earlier in turn.job.history for c in earlier.candidates):
            turn.need(Lane.CHECK)
            turn.report("probe")
            turn = turn.of(dataclasses.replace(turn.job, history=self.validation.observe(turn, inputs)))
        return turn, inputs

    def _conclude(self, turn: Turn, limit: LimitReached) -> None:
        """What is left of the budget does not pay for the open iteration: a job with accepted candidates ends with the
        best choice among them. Raises `limit` where it has none, or the context is too small."""
        job = self.ledger.load(turn.claim)
        if job.open is None or job.new_checks or isinstance(limit, ProblemTooLong):
            raise limit
        iteration = Iteration(
            number=job.open.number,
            operator=operator_of(job.open.move),
            candidates=job.open.candidates,
            inputs=job.open.inputs or (),
        )
        history, limits = (*job.history, iteration), self._limits(job)
        end = Stop(code=limit.code, used=limit.value, limit=limit.limit, needed=limit.needed)
        choice = choose(history, limits) if limits.goal is None else settled(end, history, limits)
        # An end without an answer is recorded here only where the open iteration has measured a candidate, which may be
        # the best of the job.
        measured = any(candidate.fitness is not None for candidate in iteration.candidates)
        if choice is None or (choice == end and not measured):
            raise limit
        try:
            self._close(turn, dataclasses.replace(job, history=history), choice)
        except ChecksChanged:
            raise limit from None

    def _validate(
        self, turn: Turn, iteration: OpenIteration, candidates: tuple[Candidate, ...]
    ) -> tuple[Candidate, ...]:
        job = turn.job
        if any(is_unchecked(job, iteration, candidate) for candidate in candidates):
            turn.need(Lane.CHECK)
            turn.report("validate")
            candidates = self.validation.check(turn, iteration, candidates)
        if any(is_unjudged(job, iteration, candidate) for candidate in candidates):
            turn.need(self._engine_lane(job))
            turn.report("judge")
            candidates = self.validation.judge(turn, iteration, candidates)
        return candidates

    def _record(self, turn: Turn, iteration: Iteration) -> None:
        """Decides on what came of the iteration and on what is left of the budget now, and records both; decides again
        where somebody changed the checks in between."""
        job = dataclasses.replace(turn.job, history=(*turn.job.history, iteration))
        recorded = False
        while not recorded:
            job = self.ledger.refresh(turn.claim, job)
            with contextlib.suppress(ChecksChanged):
                self._close(turn, job, self._decide(job))
                recorded = True

    def _decide(self, job: Job) -> Decision:
        """The strategy's decision. Raises `JobFailed` where it accepts what the checks did not."""
        limits = self._limits(job)
        strategy = decider(self.strategies[job.spec.strategy], job)
        decision = strategy.decide(job.history, limits)
        if isinstance(decision, Stop):
            decision = settled(decision, job.history, limits)
        if is_outdated(decision, job):  # no iteration is left in which the new checks could judge it
            used, limit = len(job.iterations), job.spec.budget.iterations
            return Stop(code=StopCode.BUDGET_ITERATIONS, used=used, limit=limit)
        accepted = {str(c.ref) for iteration in job.history for c in iteration.candidates if c.accepted}
        if isinstance(decision, Stop) and decision.code is StopCode.ACCEPTED and decision.detail not in accepted:
            name = job.spec.strategy
            raise JobFailed(f"strategy {name} accepts candidate {decision.detail!r}, and the checks did not")
        return decision

    def _close(self, turn: Turn, job: Job, decision: Decision) -> None:
        """Records the last iteration of the job's history, and what follows."""
        iteration = job.history[-1]
        ended = dataclasses.replace(job, ended=decision) if isinstance(decision, Stop) else None
        due = ended is not None and job.spec.memory and self.lesson_service.has_lesson(ended)
        lane = self._lane_of(decision, job)
        passing(CrashPoint.DECIDED)
        goal = self._limits(job).goal
        noise = goal.noise if goal else 0.0
        self.ledger.record(turn.claim, iteration, decision, lane=lane, lesson_due=due, noise=noise)
        passing(CrashPoint.RECORDED)
        best = max(iteration.candidates, key=lambda candidate: candidate.rank, default=None)
        turn.report(describe(decision), best)
        if ended is not None:
            turn.progress.ended(describe(decision), failed=False)

    def _distil_lesson(self, turn: Turn) -> None:
        """A job that has ended owes its lesson: a step of its own, so that nobody waits for it to hear of the end."""
        turn.need(turn.job.lane)
        turn.report("distil")
        lesson = self.lesson_service.distil(turn)
        passing(CrashPoint.DISTILLED)
        self.ledger.keep_lesson(turn.claim, lesson)
        passing(CrashPoint.LESSON_KEPT)
        turn.progress.ended("its lesson is kept" if lesson else "it teaches no lesson", failed=False)

    def _recall(self, turn: Turn) -> tuple[Lesson, ...]:
        """The lessons of earlier jobs. A memory that is away costs a job its lessons, not its run."""
        if not turn.job.spec.memory:
            return ()
        try:
            return self.lesson_service.recall(turn.job)
        except MemoryUnavailable as fault:
            self.ledger.note(turn.claim, "no lessons", str(fault))
            return ()

    def _examine(self, job: Job) -> None:
        """Raises `PluginUnavailable` where this worker lacks what the job names, `MalformedJob` where none could ever
        solve it."""
        name = job.spec.strategy
        if name not in self.strategies:
            raise PluginUnavailable("strategy", name, self.broken.get(name, ""))
        self.validation.checks.examine(job.spec.checks)

    def _lanes_for(self, job: Job, lanes: frozenset[Lane]) -> frozenset[Lane]:
        """Not those of the engine, where its model does not take what is attached to the job, or is not the one that
        the job names."""
        fits = job.spec.modalities <= self.rules.modalities and job.spec.model in {"", *self.rules.models}
        return lanes if fits else lanes - ENGINE_LANES

    def _limits(self, job: Job) -> Limits:
        return limits_of(job, self.rules)

    def _lane_of(self, decision: Decision, job: Job) -> Lane:
        """Where the first step of a decision runs."""
        match decision:
            case Escalate():
                return Lane.CLOUD
            case Recheck() | Start():
                return Lane.CHECK
            case _:
                return self._engine_lane(job)

    def _engine_lane(self, job: Job) -> Lane:
        return engine_lane(job.spec.lane, job.history, self._limits(job))
