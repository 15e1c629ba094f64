"""When a job asks a stronger model for help, and for what. Pure.

A cheaper step comes first: help is asked for only where a strategy would begin anew or end by itself, never in the
place of a move that goes on with what there is, such as a repair, an aggregation, a comparison or a mutation. A fresh
start costs no dollars either, but it throws away what was learnt, which is what a hint may save.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tasks.policy.endings import rejected
from tasks.policy.progress import objections_in
from tasks.reasons import explain
from tasks.scoring import incumbents
from tasks.types import Decision, Draft, Escalate, EscalationKind, Iteration, Limits, Operator, Stop

_HELP = frozenset({Operator.HINT, Operator.ESCALATE})


def helped(history: Sequence[Iteration], limits: Limits, otherwise: Decision) -> Decision:
    """An escalation in the place of `otherwise`, what the strategy would do by itself, where that is a fresh start and
    a rule of `HelpRules` holds, or an end, and a rung of the ladder is left. Its reason names every rule that holds."""
    kind = rung(history, limits)
    if kind is None:
        return otherwise
    if kind in limits.away:
        return _without(kind, history, limits, otherwise)
    match otherwise:
        case Stop():
            return Escalate(kind=kind, why=explain(otherwise))
        case Draft(restart=True):
            why = "; ".join(reasons(history, limits))
            return Escalate(kind=kind, why=why) if why else otherwise
        case _:
            return otherwise


def _without(kind: EscalationKind, history: Sequence[Iteration], limits: Limits, otherwise: Decision) -> Decision:
    """What the strategy would do by itself, while the provider of this kind of help is away; a fresh start in the place
    of help says so."""
    if not isinstance(otherwise, Draft) or not otherwise.restart or not any(reasons(history, limits)):
        return otherwise
    skipped = f"no {kind}, for {limits.away[kind]} is away"
    return dataclasses.replace(otherwise, why=f"{otherwise.why}; {skipped}" if otherwise.why else skipped)


def rung(history: Sequence[Iteration], limits: Limits) -> EscalationKind | None:
    """What may be asked for next: a hint, then one on the best candidate, then a whole answer, each once, whatever came
    of it; None where nothing more may."""
    if any(iteration.operator is Operator.ESCALATE for iteration in history):
        return None
    hints = sum(iteration.operator is Operator.HINT for iteration in history)
    kind = EscalationKind.ANSWER if hints >= limits.help.hints else tuple(EscalationKind)[hints]
    return kind if limits.egress.allows(kind) else None


def reasons(history: Sequence[Iteration], limits: Limits) -> Iterator[str]:
    """Each rule for asking that holds, in words. All count from the last escalation on."""
    rules, since = limits.help, _since_help(history)
    later = len(since) < len(history)
    failed = rejected(since)
    if failed >= (rules.hint_iterations if later else limits.escalate_after):
        yield f"{failed} iterations were rejected" + (" since help came" if later else "")
    starts = sum(iteration.operator is Operator.RESTART for iteration in since)
    if starts >= rules.fresh_starts:
        yield f"{starts} fresh starts failed"
    idle = _without_gain(history, limits, since)
    if idle >= _patience(limits):
        yield f"no better score in {idle} iterations"
    loops = sum(bool(i.candidates) and all(c.guard for c in i.candidates) for i in since)
    if loops >= rules.loops:
        yield f"{loops} iterations brought nothing but loops"
    objections = {candidate.root for candidate in objections_in(since)}
    if len(objections) >= rules.objections:
        yield f"the reviews of {len(objections)} lineages found the problem impossible as posed"


def _patience(limits: Limits) -> int:
    """Iterations without a gain; half of a plateau, where the job would end at one before."""
    plateau = limits.goal.plateau_iterations if limits.goal else None
    return limits.help.without_gain if plateau is None else min(limits.help.without_gain, max(1, plateau // 2))


def _since_help(history: Sequence[Iteration]) -> Sequence[Iteration]:
    return history[max((n + 1 for n, i in enumerate(history) if i.operator in _HELP), default=0) :]


def _without_gain(history: Sequence[Iteration], limits: Limits, since: Sequence[Iteration]) -> int:
    """How many of the last iterations, of those `since`, brought candidates and no new incumbent."""
    best = [None, *incumbents(history, limits.goal.noise if limits.goal else 0.0)]
    gains = [number for number, (before, now) in enumerate(pairwise(best)) if now is not before]
    start = max(len(history) - len(since), gains[-1] + 1 if gains else 0)
    return sum(bool(iteration.candidates) for iteration in history[start:])
