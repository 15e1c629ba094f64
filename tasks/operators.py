"""The attempt of an iteration: its candidates, drafted, revised or fetched from the cloud, or the inputs of a probe.
Over ports only; must not know how a candidate is checked."""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import assert_never

from tasks.edits import EditError, edited, repairs_of, variants_of
from tasks.errors import DailyLimitReached, LimitReached
from tasks.jobfiles import shown_text
from tasks.journal import JournalledModel
from tasks.llm.guard import scan
from tasks.policy import passing, written
from tasks.ports import Cloud
from tasks.prompts import build, calls, mutating, parse
from tasks.prompts.redact import without_held_out
from tasks.sampling import drawn
from tasks.testfiles import shown_files
from tasks.turn import Turn
from tasks.types import (
    Aggregate,
    Ask,
    CallKey,
    Candidate,
    CandidateRef,
    Completion,
    Draft,
    Escalate,
    EscalationKind,
    Job,
    Mutate,
    OpenIteration,
    Operator,
    Probe,
    Recheck,
    Revise,
    Start,
    Synthesise,
    operator_of,
)
from tasks.validators.extraction import code_of
from tasks.validators.python import solution_names

# Candidates of which one is made: RSA's K.
MERGED = 4
# Candidates that the author of a mutation is shown beside its parent.
INSPIRED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """Makes an iteration's candidates with journalled calls of the worker's model, or with the cloud's answer."""

    model: JournalledModel
    cloud: Cloud

    def attempt(  # noqa: PLR0911 - one a move
        self, turn: Turn, iteration: OpenIteration
    ) -> tuple[Candidate, ...]:
        """Every slot of the move at once: on a batching engine they cost little more than one.

        Where the budget pays for some slots only, those are the iteration's candidates. Raises `LimitReached` where it
        pays for none, `EngineFault`, `CloudFault`, and what the turn's heartbeat raises.
        """
        match iteration.move:
            case Draft(slots=slots):
                return _in_parallel([partial(self._draft, turn, iteration, slot, slots) for slot in range(slots)])
            case Revise(parents=parents, analyse=analyse):
                revise = self._repair if analyse else self._revise
                return _in_parallel(
                    [partial(revise, turn, iteration, slot, parent) for slot, parent in enumerate(parents)]
                )
            case Aggregate(slots=slots):
                return _in_parallel([partial(self._merge, turn, iteration, slot) for slot in range(slots)])
            case Synthesise():
                return _in_parallel([partial(self._merge, turn, iteration, 0)])
            case Mutate(parents=parents):
                changes = _in_parallel([partial(self._mutate, turn, iteration, slot) for slot in range(len(parents))])
                return (*changes, *_variants(turn.job, iteration))
            case Recheck(parents=parents):
                return tuple(
                    _again(parent, CandidateRef(iteration=iteration.number, slot=slot))
                    for slot, parent in enumerate(_found(turn.job, parents))
                )
            case Start():
                ref = CandidateRef(iteration=iteration.number, slot=0)
                return (Candidate(ref=ref, operator=Operator.START, text=turn.job.spec.start, root=ref),)
            case Probe() | Ask():
                return ()  # they make none: see `inputs` and `question`
            case Escalate():
                return self._escalate(turn, iteration, iteration.move.kind)  # a hint makes none: see `hint`
            case _:
                assert_never(iteration.move)

    def inputs(self, turn: Turn, iteration: OpenIteration) -> tuple[str, ...]:
        """Calls of the functions that the candidates which passed define; none where the model's text gives none, or
        there is nothing to call. One call of the model: what it repeats is of no use, and what comes before is. Raises
        as `attempt` does."""
        sources = [code_of(candidate.text) for candidate in passing(turn.job.history)]
        functions = calls.signatures(sources[0], _tested(turn.job)) if sources else {}
        if not functions:
            return ()
        key = CallKey(iteration=iteration.number, operator=Operator.INPUTS, slot=0, attempt=1)
        completion = self.model.ask(
            turn, key, lambda cut: build.inputs(turn.job, tuple(functions.values()), cut=cut), attempts=1
        )
        return calls.calls(completion.text, functions)

    def question(self, turn: Turn, iteration: OpenIteration) -> str:
        """What the job asks the person who posed its problem: a short call of the model, or a fixed sentence where its
        text is no question. Raises as `attempt` does."""
        key = CallKey(iteration=iteration.number, operator=Operator.ASK, slot=0, attempt=1)
        completion = self.model.ask(turn, key, lambda cut: build.question(turn.job, cut=cut))
        sound = completion.guard is None and completion.let_through is None
        return (parse.question(completion.text) if sound else "") or parse.NO_QUESTION

    def hint(self, turn: Turn, iteration: OpenIteration, kind: EscalationKind) -> str:
        """The advice that the escalation brought, without a line that a held-out check has; empty where none came, and
        where it repeats itself: a model goes on with what it is shown. Raises as `attempt` does."""
        turn.heartbeat.checkpoint()
        completion = self.cloud.answer(turn, iteration.number, kind)
        sound = completion is not None and completion.guard is None and completion.let_through is None
        return without_held_out(turn.job, completion.text).strip() if completion is not None and sound else ""

    def _draft(self, turn: Turn, iteration: OpenIteration, slot: int, slots: int) -> Candidate:
        operator, ref = operator_of(iteration.move), CandidateRef(iteration=iteration.number, slot=slot)
        key = CallKey(iteration=iteration.number, operator=operator, slot=slot, attempt=1)
        tried = _found(turn.job, iteration.move.avoid) if isinstance(iteration.move, Draft) else ()
        prompt = partial(build.redraft, turn.job, tried) if tried else partial(build.draft, turn.job)
        completion = self.model.ask(turn, key, lambda cut: prompt(cut=cut), together=slots)
        return _candidate(completion, ref=ref, operator=operator, root=ref)

    def _merge(self, turn: Turn, iteration: OpenIteration, slot: int) -> Candidate:
        """One candidate out of some of the move's parents, which are drawn from the job's seed, as their order is."""
        move, job = iteration.move, turn.job
        assert isinstance(move, Aggregate | Synthesise)
        operator, ref = operator_of(move), CandidateRef(iteration=iteration.number, slot=slot)
        key = CallKey(iteration=iteration.number, operator=operator, slot=slot, attempt=1)
        parents = _found(job, drawn(job.spec.seed, key, move.parents, MERGED))
        ask = build.aggregate if isinstance(move, Aggregate) else build.synthesise
        completion = self.model.ask(turn, key, lambda cut: ask(job, parents, cut=cut))
        return _candidate(completion, ref=ref, operator=operator, root=ref)

    def _mutate(self, turn: Turn, iteration: OpenIteration, slot: int) -> Candidate:
        """A change of the slot's parent. Edits that don't apply stay as they were written, for the checks to refuse."""
        move, job, ref = iteration.move, turn.job, CandidateRef(iteration=iteration.number, slot=slot)
        assert isinstance(move, Mutate)
        operator = operator_of(move)
        key = CallKey(iteration=iteration.number, operator=operator, slot=slot, attempt=1)
        (parent,) = _found(job, move.parents[slot : slot + 1])
        change = mutating.Change(
            parent=parent,
            tried=_children(job, parent.ref),
            number=len(_children(job, parent.ref)) + move.parents[: slot + 1].count(parent.ref),
            inspirations=_found(job, _inspirations(job.spec.seed, key, move, parent.ref)),
            edits=move.edits,
        )
        ask = partial(self.model.ask, warmth=move.warmth, runs_on=_repeats(parent))
        completion = ask(turn, key, lambda cut: mutating.mutate(job, change, cut=cut))
        candidate = _revision(completion, ref, parent, operator)
        if not move.edits or candidate.guard is not None:
            return candidate
        try:
            return dataclasses.replace(candidate, text=edited(completion.text, parent.text))
        except EditError:
            return candidate

    def _repair(self, turn: Turn, iteration: OpenIteration, slot: int, parent_ref: CandidateRef) -> Candidate:
        """What is wrong and the patch in one call, or the finding that the problem is impossible."""
        job, ref = turn.job, CandidateRef(iteration=iteration.number, slot=slot)
        (parent,) = _found(job, (parent_ref,))
        key = CallKey(iteration=iteration.number, operator=Operator.REVISE, slot=slot, attempt=1)
        completion = self.model.ask(turn, key, lambda cut: build.repair(job, parent, cut=cut), runs_on=_repeats(parent))
        candidate = _revision(completion, ref, parent)
        return dataclasses.replace(candidate, objection=parse.objection(completion.text, job.spec.problem))

    def _revise(self, turn: Turn, iteration: OpenIteration, slot: int, parent_ref: CandidateRef) -> Candidate:
        """A review that lists problems only, each with a quote that is checked to be there, then the patch."""
        job, ref = turn.job, CandidateRef(iteration=iteration.number, slot=slot)
        (parent,) = _found(job, (parent_ref,))
        key = CallKey(iteration=iteration.number, operator=Operator.REVIEW, slot=slot, attempt=1)
        review = self.model.ask(turn, key, lambda cut: build.review(job, parent, cut=cut))
        bugs = () if review.guard else parse.bugs(review.text, shown_text(job, parent))
        key = dataclasses.replace(key, operator=Operator.REVISE)
        completion = self.model.ask(
            turn, key, lambda cut: build.revise(job, parent, bugs, cut=cut), runs_on=_repeats(parent)
        )
        return _revision(completion, ref, parent)

    def _escalate(self, turn: Turn, iteration: OpenIteration, kind: EscalationKind) -> tuple[Candidate, ...]:
        turn.heartbeat.checkpoint()  # the next worker sends what is not sent yet, and fetches what runs at the cloud
        completion = None if kind.is_hint else self.cloud.answer(turn, iteration.number, kind)
        if completion is None:
            return ()
        ref = CandidateRef(iteration=iteration.number, slot=0)
        return (_candidate(completion, ref=ref, operator=Operator.ESCALATE, root=ref),)


def _tested(job: Job) -> frozenset[str]:
    """The names of the solution that visible tests use."""
    return frozenset(solution_names(text for _, text in shown_files(job.spec.checks)))


def _found(job: Job, refs: Sequence[CandidateRef]) -> tuple[Candidate, ...]:
    """The job's candidates of these names, in their order."""
    known = {candidate.ref: candidate for earlier in job.iterations for candidate in earlier.candidates}
    return tuple(known[ref] for ref in refs)


def _children(job: Job, parent: CandidateRef) -> tuple[Candidate, ...]:
    """What a model made of a candidate in earlier iterations."""
    return tuple(candidate for candidate in written(job.history) if candidate.parent == parent)


def _repeats(parent: Candidate) -> bool:
    """Whether a candidate repeats itself, so that what is made of it may, too."""
    return parent.let_through is not None or scan(parent.text) is not None


def _variants(job: Job, iteration: OpenIteration) -> Sequence[Candidate]:
    """The next variants of the candidates that the move varies, by turns, each of a text that the job has not had; in
    the slots after those of the changes."""
    move = iteration.move
    if not isinstance(move, Mutate):
        return ()
    had = {candidate.text for earlier in job.history for candidate in earlier.candidates}
    by_turns = zip_longest(*(_variants_of(job, varied, had) for varied in _found(job, move.varied)))
    found = dict[str, Candidate]()
    for varied, text in (one for turn in by_turns for one in turn if one is not None):
        if len(found) == move.variants:
            break
        found.setdefault(text, varied)  # two broken answers may become the same
    return [
        Candidate(
            ref=CandidateRef(iteration=iteration.number, slot=len(move.parents) + number),
            operator=Operator.VARY,
            text=text,
            root=varied.root,
            revision=varied.revision + 1,
            parent=varied.ref,
        )
        for number, (text, varied) in enumerate(found.items())
    ]


def _variants_of(job: Job, varied: Candidate, had: Collection[str]) -> Iterator[tuple[Candidate, str]]:
    """A candidate with each of its variants, or of its repairs where it has no value."""
    if varied.fitness is None:
        return ((varied, text) for text in repairs_of(varied.text, had))
    before = _found(job, [varied.parent])[0].text if varied.parent else ""
    return ((varied, text) for text in variants_of(varied.text, before, had))


def _again(parent: Candidate, ref: CandidateRef) -> Candidate:
    """The candidate anew, without what earlier checks made of it: the first of a lineage. What it is edits of stays."""
    return Candidate(
        ref=ref,
        operator=Operator.RECHECK,
        text=parent.text,
        root=ref,
        parent=parent.parent,
        let_through=parent.let_through,
    )


def _inspirations(seed: int, key: CallKey, move: Mutate, parent: CandidateRef) -> tuple[CandidateRef, ...]:
    """The first that is not the parent itself, and others that are drawn."""
    others = [ref for ref in move.inspirations if ref != parent]
    return (*others[:1], *drawn(seed, key, others[1:], INSPIRED - 1))


def _revision(
    completion: Completion, ref: CandidateRef, parent: Candidate, operator: Operator = Operator.REVISE
) -> Candidate:
    candidate = _candidate(completion, ref=ref, operator=operator, root=parent.root)
    return dataclasses.replace(candidate, revision=parent.revision + 1, parent=parent.ref)


def _candidate(completion: Completion, *, ref: CandidateRef, operator: Operator, root: CandidateRef) -> Candidate:
    guard = completion.guard.kind if completion.guard else None
    let_through = completion.let_through.kind if completion.let_through else None
    return Candidate(ref=ref, operator=operator, text=completion.text, root=root, guard=guard, let_through=let_through)


def _in_parallel(slots: Sequence[Callable[[], Candidate]]) -> tuple[Candidate, ...]:
    """Runs all slots to their end, each in a thread. Raises the first error that is no limit; a limit where no slot was
    paid for."""
    candidates: list[Candidate] = []
    errors: list[Exception] = []
    with ThreadPoolExecutor(max_workers=len(slots), thread_name_prefix="slot") as pool:
        for future in [pool.submit(contextvars.copy_context().run, slot) for slot in slots]:
            error = future.exception()
            if error is None:
                candidates.append(future.result())
            elif isinstance(error, Exception):
                errors.append(error)
            else:
                raise error
    fatal = [error for error in errors if not isinstance(error, LimitReached | DailyLimitReached)]
    if fatal or not candidates:
        raise (fatal or errors)[0]
    return tuple(candidates)
