"""The loop's ledger in Postgres. Each write is one transaction that begins with the fence; what is
committed here is all that a resumed turn knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tasks.crashpoints import CrashPoint, passing
from tasks.errors import ChecksChanged, JournalMismatch
from tasks.reasons import describe
from tasks.scoring import best_of, is_better, value_of
from tasks.store import (
    batches,
    budgets,
    check_edits,
    codec,
    contexts,
    hints,
    job_loader,
    journal,
    leases,
    lesson_writes,
    questions,
)
from tasks.store.session import Database
from tasks.store.tables import candidates, iterations, jobs, verdicts
from tasks.types import (
    CallKey,
    Candidate,
    CandidateRef,
    ChatRequest,
    Claim,
    Completion,
    Decision,
    Grant,
    Hint,
    Iteration,
    Job,
    Lane,
    Lesson,
    Move,
    Omission,
    Stop,
    StopCode,
    operator_of,
)


class PostgresLedger:
    """Implements `tasks.ports.Ledger`. Safe to share between the threads of a turn.

    Parameters: `fault_cap` faults of services in a row before a job is `failed`.
    """

    def __init__(self, database: Database, *, fault_cap: int) -> None:
        self._database, self._fault_cap = database, fault_cap

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def load(self, claim: Claim) -> Job:
        """The job with all that is committed of it; an open iteration without a call takes the hints that wait, and the
        changes of its checks and title hold from then on. Raises `LeaseLost`, `MalformedJob`, `AttachmentLost`,
        `DatabaseUnavailable`, and `DailyLimitReached` before anything of an iteration that may not begin today."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            check_edits.take(connection, claim.job)
            begun = connection.execute(  # an iteration's time begins with its first turn, not in the queue
                update(iterations)
                .where(iterations.c.job_id == claim.job, iterations.c.started_at.is_(None))
                .values(started_at=text("now()"))
            ).rowcount
            taken = _take_hints(connection, claim)
            job = job_loader.read_job(connection, claim.job)
            assert job is not None  # the fence has found its lease
            if begun and job.ended is None:
                budgets.begin_iteration(connection, claim.job)
        if taken:
            passing(CrashPoint.HINTS_TAKEN)
        return job

    def refresh(self, claim: Claim, job: Job) -> Job:
        """The job with its budget, its spend, its hours, the hints that wait and the lanes that are served as they are
        now. Raises `DatabaseUnavailable`."""
        with self._database.connect() as connection:
            return job_loader.refresh(connection, job)

    # ── the journal ──────────────────────────────────────────────────────────────────────────

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> Completion | None:
        """The journalled call, or None. Raises `JournalMismatch`, `DatabaseUnavailable`."""
        with self._database.connect() as connection:
            return journal.find(connection, claim.job, key, prompt_hash)

    def set_aside(self, claim: Claim, key: CallKey, mismatch: JournalMismatch) -> None:
        """See `journal.set_aside`. Raises `mismatch`, `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            journal.set_aside(connection, claim.job, key, mismatch)

    def reserve(self, claim: Claim, key: CallKey, tokens: int, completion_tokens: int = 0) -> Grant:
        """Reserves `tokens` of the job's budget and of its batch's, so that calls in flight together can't pass either.
        Raises as `budgets.admit` does, `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            return journal.reserve(connection, claim, key, tokens, completion_tokens)

    def commit_call(
        self,
        claim: Claim,
        key: CallKey,
        request: ChatRequest,
        prompt_hash: str,
        completion: Completion,
        *,
        omissions: Sequence[Omission] = (),
    ) -> None:
        """Journals a call with what its prompt left out, settles its reservation and adds it to the job's spend. Raises
        `LeaseLost`."""
        left_out = codec.omissions_to_json(omissions)
        row = codec.call_to_row(claim, key, codec.request_to_json(request), prompt_hash, completion, left_out)
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            journal.commit(connection, claim.job, key, row, completion)

    # ── the iteration ────────────────────────────────────────────────────────────────────────

    def begin(self, claim: Claim, number: int, move: Move, lessons: Sequence[Lesson]) -> tuple[Hint, ...]:
        """Opens iteration `number`, which takes the hints that wait; again is harmless. Returns the hints that it sees.
        Raises `DailyLimitReached` where it may not begin today, `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            connection.execute(
                update(jobs)
                .where(jobs.c.id == claim.job, jobs.c.recalled.is_(None))
                .values(recalled=codec.lessons_to_json(lessons))
            )
            if _open_iteration(connection, claim.job, number, move, started_at=text("now()")):
                budgets.begin_iteration(connection, claim.job)
            _take_hints(connection, claim)
            return hints.seen(hints.read(connection, claim.job))

    def commit_candidates(self, claim: Claim, number: int, new: Sequence[Candidate]) -> None:
        """All slots of the open iteration have their text. Raises `LeaseLost`, `DatabaseUnavailable`."""
        if not new:
            return
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            connection.execute(
                upsert(candidates).on_conflict_do_nothing(),
                [
                    {
                        "job_id": claim.job,
                        "iteration": number,
                        "slot": c.ref.slot,
                        "operator": c.operator,
                        "text": c.text,
                        "root_iteration": c.root.iteration,
                        "root_slot": c.root.slot,
                        "revision": c.revision,
                        "parent_iteration": c.parent.iteration if c.parent else None,
                        "parent_slot": c.parent.slot if c.parent else None,
                        "guard": c.guard,
                        "let_through": c.let_through,
                        "objection": c.objection,
                    }
                    for c in new
                ],
            )

    def commit_inputs(self, claim: Claim, number: int, inputs: Sequence[str]) -> None:
        """The probe that is open has its inputs. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            opened = iterations.c.job_id == claim.job, iterations.c.number == number
            connection.execute(update(iterations).where(*opened).values(inputs=list(inputs)))

    def commit_behaviour(self, claim: Claim, ref: CandidateRef, behaviour: str) -> None:
        """One candidate was run on the inputs of a probe. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            connection.execute(update(candidates).where(*_at(claim, ref)).values(behaviour=behaviour))

    def commit_verdicts(self, claim: Claim, candidate: Candidate, *, done: bool) -> None:
        """One candidate has its verdicts, its score and its behaviour; all verdicts where `done`. Raises
        `LeaseLost`."""
        ref = candidate.ref
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            if candidate.verdicts:
                connection.execute(
                    upsert(verdicts).on_conflict_do_nothing(),
                    [
                        {
                            "job_id": claim.job,
                            "iteration": ref.iteration,
                            "slot": ref.slot,
                            "check_name": v.check,
                            "ordinal": ordinal,
                            "kind": v.kind,
                            "held_out": v.held_out,
                            "passed": v.passed,
                            "score": v.score,
                            "feedback": v.feedback,
                            "seconds": v.seconds,
                            "isolation": v.isolation,
                            "value": v.value,
                            "metrics": dict(v.metrics),
                            "worker": claim.worker,
                            "epoch": claim.epoch,
                        }
                        for ordinal, v in enumerate(candidate.verdicts)
                    ],
                )
            connection.execute(
                update(candidates)
                .where(*_at(claim, ref))
                .values(
                    score=candidate.score,
                    value=value_of(candidate),
                    fitness=candidate.fitness,
                    accepted=candidate.accepted,
                    behaviour=candidate.behaviour,
                    repeats_iteration=candidate.repeats.iteration if candidate.repeats else None,
                    repeats_slot=candidate.repeats.slot if candidate.repeats else None,
                    checked=done,
                )
            )

    def record(
        self,
        claim: Claim,
        iteration: Iteration,
        decision: Decision,
        *,
        lane: Lane,
        lesson_due: bool,
        noise: float = 0.0,
    ) -> None:
        """Closes the open iteration, keeps the incumbent unless it is beaten by more than `noise`, and stops the job or
        opens the next iteration; then gives the lease back, to be claimed once more where a lesson is due. One
        transaction. An incumbent that other checks judged is beaten by any candidate. Raises `ChecksChanged` where the
        decision accepts an answer and a change of the checks waits that is to judge it; `LeaseLost`,
        `DatabaseUnavailable`."""
        chosen = decision.detail if isinstance(decision, Stop) else ""
        best = best_of(iteration.candidates, chosen)
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            accepts = isinstance(decision, Stop) and decision.code is StopCode.ACCEPTED
            if accepts and check_edits.waiting(connection, claim.job):
                raise ChecksChanged(claim.job)
            connection.execute(
                update(iterations)
                .where(iterations.c.job_id == claim.job, iterations.c.number == iteration.number)
                .values(
                    decision=describe(decision),
                    next_operator=None if isinstance(decision, Stop) else operator_of(decision),
                    stop_code=decision.code if isinstance(decision, Stop) else None,
                    hint=iteration.hint,
                    best_slot=best.ref.slot if best else None,
                    score=best.score if best else None,
                    worker=claim.worker,
                    epoch=claim.epoch,
                    finished_at=text("now()"),
                )
            )
            row = connection.execute(
                update(jobs)
                .where(jobs.c.id == claim.job)
                .values(iterations=iteration.number, crashes=0, faults=0)
                .returning(
                    jobs.c.score, jobs.c.answer_iteration, jobs.c.answer_slot, jobs.c.batch_id, jobs.c.checks_since
                )
            ).one()
            budgets.warn_of_time(connection, claim.job)
            passing(CrashPoint.RECORDING)
            if best is not None and is_better(best, _incumbent(connection, claim, row), noise):
                _replace_incumbent(connection, claim, best)
            if isinstance(decision, Stop):
                lesson_writes.count(connection, claim.job, decision.state)
                leases.end(connection, claim.job, decision)
                connection.execute(update(jobs).where(jobs.c.id == claim.job).values(lesson_due=lesson_due))
            else:
                _open_iteration(connection, claim.job, iteration.number + 1, decision)
                _note_move_up(connection, claim.job, iteration.number, lane)
            leases.release(connection, claim, lane, done=isinstance(decision, Stop) and not lesson_due)
            if isinstance(decision, Stop):
                hints.go_on(connection, claim.job)
            if row.batch_id is not None:
                _count_for_batch(connection, claim.job, iteration, decision, partly=bool(row.score))

    def ask(self, claim: Claim, number: int, question: str, *, hours: float) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            row = connection.execute(select(jobs).where(jobs.c.id == claim.job)).one()
            if row.cancel_requested_at is not None:  # whoever holds it next hears of that
                leases.release(connection, claim, Lane(row.lane))
                return
            connection.execute(
                update(iterations)
                .where(iterations.c.job_id == claim.job, iterations.c.number == number)
                .values(
                    decision="wait for the answer",
                    worker=claim.worker,
                    epoch=claim.epoch,
                    finished_at=text("now()"),
                )
            )
            counted = {"iterations": number, "crashes": 0, "faults": 0}
            connection.execute(update(jobs).where(jobs.c.id == claim.job).values(**counted))
            passing(CrashPoint.ASKING)
            questions.ask(connection, claim.job, number, question, hours=hours)
            leases.release(connection, claim, Lane(row.lane), done=True)
            if row.batch_id is not None:
                batches.leave(connection, claim.job)

    def keep_lesson(self, claim: Claim, lesson: Lesson | None) -> None:
        """An ended job owes its lesson no more, and can't be claimed again. Raises `LeaseLost`,
        `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            if lesson is not None:
                lesson_writes.keep(connection, claim.job, lesson)
            row = connection.execute(
                update(jobs)
                .where(jobs.c.id == claim.job)
                .values(lesson_due=False, crashes=0, faults=0)
                .returning(jobs.c.lane)
            ).one()
            leases.release(connection, claim, Lane(row.lane), done=True)

    def note(self, claim: Claim, kind: str, detail: str) -> None:
        """Adds to the job's log of events. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            leases.note(connection, claim.job, kind, detail)

    def stop(self, claim: Claim, decision: Stop) -> None:
        """Ends the job between records, the incumbent stays its answer; or gives up the lesson of an ended one. Raises
        `LeaseLost`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            leases.end(connection, claim.job, decision)
            lane = connection.execute(select(jobs.c.lane).where(jobs.c.id == claim.job)).scalar_one()
            leases.release(connection, claim, Lane(lane) if lane in list(Lane) else Lane.GPU, done=True)
            hints.go_on(connection, claim.job)

    def seek_context(self, claim: Claim, lane: Lane, decision: Stop, *, above: int) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            if contexts.seek(connection, claim.job, lane, above=above):
                leases.note(connection, claim.job, "left to a larger context", decision.detail)
                leases.release(connection, claim, lane)
                return
        self.stop(claim, decision)

    def wait(
        self, claim: Claim, lane: Lane, why: str, *, seconds: float, idle: bool = False, told: bool = False
    ) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            if not told:
                leases.note(connection, claim.job, "waits", why)
            leases.release(connection, claim, lane, delay_seconds=seconds, waits_for=why, idle=idle)

    def hand_over(
        self,
        claim: Claim,
        lane: Lane,
        fault: str = "",
        *,
        code: StopCode = StopCode.SERVICE_FAULTS,
        interrupted: bool = False,
        delay_seconds: float = 0.0,
    ) -> None:
        """Gives the lease back with the next step on `lane`, after `delay_seconds`; a `fault` delays it, longer with
        each in a row, and ends the job with `code` at the cap; one `interrupted` by its worker's end goes on first.
        Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            if not fault:
                if interrupted:
                    leases.note(connection, claim.job, "handed back", f"its worker {claim.worker} is shutting down")
                leases.release(connection, claim, lane, interrupted=interrupted, delay_seconds=delay_seconds)
                return
            faults = connection.execute(
                update(jobs).where(jobs.c.id == claim.job).values(faults=jobs.c.faults + 1).returning(jobs.c.faults)
            ).scalar_one()
            leases.note(connection, claim.job, "fault", fault)
            if faults >= self._fault_cap:
                leases.end(connection, claim.job, Stop(code=code, used=faults, detail=fault))
            leases.release(
                connection, claim, lane, delay_seconds=leases.fault_pause(faults), done=faults >= self._fault_cap
            )


def _take_hints(connection: Connection, claim: Claim) -> bool:
    taken = hints.take(connection, claim.job)
    if taken:
        passing(CrashPoint.TAKING_HINTS)
    return taken


def _incumbent(connection: Connection, claim: Claim, row: Row[Any]) -> Candidate | None:
    """The best so far, by the checks as they are now."""
    if row.answer_iteration is None or row.answer_iteration < row.checks_since:
        return None
    ref = CandidateRef(iteration=row.answer_iteration, slot=row.answer_slot)
    stored = connection.execute(select(candidates).where(*_at(claim, ref))).one()
    return codec.candidate_from_row(stored, ())


def _replace_incumbent(connection: Connection, claim: Claim, best: Candidate) -> None:
    at = best.ref
    new = {"answer": best.text, "answer_iteration": at.iteration, "answer_slot": at.slot, "score": best.score}
    connection.execute(update(jobs).where(jobs.c.id == claim.job).values(**new, value=value_of(best)))
    improved = iterations.c.job_id == claim.job, iterations.c.number == at.iteration
    connection.execute(update(iterations).where(*improved).values(improved=True))


def _open_iteration(connection: Connection, job: int, number: int, move: Move, **more: Any) -> bool:
    """Opens it, and says whether it was not open yet."""
    opened = connection.execute(
        upsert(iterations)
        .values(job_id=job, number=number, operator=operator_of(move), move=codec.move_to_json(move), **more)
        .on_conflict_do_nothing()
        .returning(iterations.c.number)
    )
    return opened.one_or_none() is not None


def _count_for_batch(
    connection: Connection, job: int, iteration: Iteration, decision: Decision, *, partly: bool
) -> None:
    solved = isinstance(decision, Stop) and decision.code is StopCode.ACCEPTED
    batches.count_iteration(connection, job, earlier=iteration.number - 1, partly=partly, solved=solved)
    if not isinstance(decision, Stop):
        batches.leave(connection, job)


def _note_move_up(connection: Connection, job: int, number: int, lane: Lane) -> None:
    """A job of lane fast goes on with the large model: noted once."""
    if lane is Lane.GPU:
        moved = update(jobs).where(jobs.c.id == job, jobs.c.lane == Lane.FAST, ~jobs.c.moved_up).values(moved_up=True)
        if connection.execute(moved).rowcount:
            leases.note(connection, job, "moved up", f"to lane gpu after iteration {number}")


def _at(claim: Claim, ref: CandidateRef) -> tuple[Any, ...]:
    at = candidates.c
    return at.job_id == claim.job, at.iteration == ref.iteration, at.slot == ref.slot
