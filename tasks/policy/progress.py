"""Whether a job still makes progress: when a strategy should change its move, and when it should end the job. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.types import Candidate, Iteration, Operator, Stop, StopCode

# Iterations without a better score, and fresh starts among them, after which no other is tried: the fewest that drop at
# most 2 % of solvable jobs in the simulation of `make bench-stop`, where repairs object, too.
PATIENCE = 25
FRESH_STARTS = 2
# Reviews of different lineages that must find a problem impossible: one alone is wrong too often.
OBJECTIONS = 2


def impossible(history: Sequence[Iteration], enough: int = OBJECTIONS) -> Stop | None:
    """The end of a job whose problem reviews of `enough` lineages found impossible as posed, each with words of the
    problem that are there, where no candidate has come nearer to it since the first of them. A hint is a new beginning.
    """
    objections = objections_in(since_hint(history))
    if len({candidate.root for candidate in objections}) < enough:
        return None
    first = objections[0].ref.iteration
    if _best([i for i in history if i.number > first]) > _best([i for i in history if i.number <= first]):
        return None
    return Stop(code=StopCode.IMPOSSIBLE, detail=objections[-1].objection)


def in_doubt(history: Sequence[Iteration]) -> bool:
    """Whether at least half of the lineages that were reviewed found the problem impossible, and some did. A hint is a
    new beginning."""
    since = since_hint(history)
    objected = {candidate.root for candidate in objections_in(since)}
    reviewed = {c.root for iteration in since for c in iteration.candidates if c.revision > 0 and c.guard is None}
    return bool(objected) and 2 * len(objected) >= len(reviewed)


def no_gain(history: Sequence[Iteration], patience: int = PATIENCE) -> Stop | None:
    """The end of a job whose best score has not risen for `patience` iterations with `FRESH_STARTS` among them. A hint
    is a new beginning."""
    best = 0.0
    without: list[Iteration] = []
    for iteration in history:
        score = _best([iteration])
        if score > best or iteration.hint:
            best, without = max(best, score), []
        elif iteration.candidates:
            without.append(iteration)
    starts = sum(iteration.operator is Operator.RESTART for iteration in without)
    if len(without) < patience or starts < FRESH_STARTS:
        return None
    return Stop(code=StopCode.NO_GAIN, used=len(without), detail=f"{best:.2f}")


def since_hint(history: Sequence[Iteration]) -> Sequence[Iteration]:
    """The iterations after the last hint; all where there was none."""
    return history[max((n + 1 for n, iteration in enumerate(history) if iteration.hint), default=0) :]


def objections_in(history: Sequence[Iteration]) -> Sequence[Candidate]:
    """The candidates whose author found the problem impossible as posed, the first first."""
    return [candidate for iteration in history for candidate in iteration.candidates if candidate.objection]


def _best(history: Sequence[Iteration]) -> float:
    scores = (c.score for iteration in history for c in iteration.candidates if c.guard is None)
    return max(scores, default=0.0)
