"""Decisions and ends as text for people. Pure; knows neither who reads it nor where it is stored."""

from __future__ import annotations

import dataclasses
from typing import assert_never

from tasks.scoring import shown
from tasks.types import (
    Aggregate,
    Ask,
    Decision,
    Draft,
    Escalate,
    Mutate,
    Probe,
    Recheck,
    Revise,
    Start,
    Stop,
    StopCode,
    Synthesise,
    operator_of,
)

_UNITS = {
    StopCode.BUDGET_TOKENS: " tokens",
    StopCode.BUDGET_COMPLETION_TOKENS: " completion tokens",
    StopCode.BUDGET_USD: " USD",
    StopCode.BUDGET_LOCAL_TOKENS: " local tokens",
    StopCode.BUDGET_CLOUD_TOKENS: " cloud tokens",
    StopCode.BUDGET_GPU_SECONDS: " GPU-seconds",
    StopCode.BUDGET_EVALUATIONS: " evaluations",
    StopCode.BUDGET_ITERATIONS: " iterations",
    StopCode.BUDGET_HOURS: "",  # a duration names its own units
    StopCode.BATCH_TOKENS: " tokens",
    StopCode.BATCH_HOURS: "",
}
_TEXTS = {
    StopCode.ACCEPTED: "candidate {detail} passed every check",
    StopCode.CONTEXT: "the shortest prompt has {used} tokens, and the model has room for {limit}",
    StopCode.DRAFT_REJECTED: "its one draft was not accepted",
    StopCode.CLOUD_REJECTED: "the cloud model's answer was rejected like the local ones",
    StopCode.PLATEAU: "its best score rose by no more than {detail} in {used} iterations",
    StopCode.NO_GAIN: "no better score than {detail} came in {used} iterations, over several fresh starts",
    StopCode.IMPOSSIBLE: "reviews found the problem impossible as posed: {detail}",
    StopCode.GAVE_UP: "its strategy sees no further move: {detail}",
    StopCode.CANCELLED: "cancelled by its owner",
    StopCode.CRASHES: "its worker died {used} times in a row with no iteration recorded between; the last was {detail}",
    StopCode.SERVICE_FAULTS: "{used} faults in a row; the last: {detail}",
    StopCode.MISSING_PLUGIN: "{detail}; {used} turns in a row found no worker that can go on with it",
    StopCode.DEFECT: "a defect: {detail} (its events hold the traceback)",
    StopCode.MALFORMED: "{detail}",
    StopCode.ATTACHMENT_LOST: "{detail}",
    StopCode.JOURNAL_MISMATCH: "{detail}",
}
# What is left of a text where it may be read outside: nothing that a model, a plug-in or a service wrote.
_WITHOUT_DETAIL = {
    StopCode.IMPOSSIBLE: "reviews found the problem impossible as posed",
    StopCode.GAVE_UP: "its strategy sees no further move",
    StopCode.SERVICE_FAULTS: "{used} faults of services in a row",
    StopCode.MISSING_PLUGIN: "{used} turns in a row found no worker that has its plug-ins",
    StopCode.DEFECT: "a defect (its events hold the traceback)",
    StopCode.MALFORMED: "what is stored of it is malformed",
    StopCode.ATTACHMENT_LOST: "an attachment of it is lost",
    StopCode.JOURNAL_MISMATCH: "a journalled call answers another prompt",
}
# Why the search for a better score ended, where the job was accepted with the best that it had.
_ENDED_BY = {
    StopCode.PLATEAU: "nothing better came in {used} iterations",
    StopCode.DRAFT_REJECTED: "its strategy writes one draft",
    StopCode.CLOUD_REJECTED: "the cloud model was asked, too",
    StopCode.NO_GAIN: "nothing better came in {used} iterations",
    StopCode.IMPOSSIBLE: "reviews found the problem impossible as posed",
    StopCode.GAVE_UP: "its strategy sees no further move",
    StopCode.CONTEXT: "the shortest prompt has {used} tokens, and the model has room for {limit}",
}

# Of an answer that was chosen among several.
_CHOSEN = ", and {used} of {limit} that did behave alike"


def describe(decision: Decision) -> str:
    """A decision in a few words, as `history` and Flower show it."""
    match decision:
        case Draft():
            verb, detail, why = "restart" if decision.restart else "draft", f"{decision.slots} slots", decision.why
        case Revise():
            parents = ", ".join(str(ref) for ref in decision.parents)
            verb, detail, why = "revise", parents, decision.why
        case Aggregate():
            parents = ", ".join(map(str, decision.parents))
            verb, detail, why = "aggregate", f"{decision.slots} of {parents}", decision.why
        case Recheck():
            verb, detail, why = "recheck", ", ".join(map(str, decision.parents)), decision.why
        case Start():
            verb, detail, why = "start", "the owner's answer", decision.why
        case Synthesise():
            verb, detail, why = "synthesise", ", ".join(map(str, decision.parents)), decision.why
        case Mutate():
            parents, varied = ", ".join(map(str, decision.parents)), ", ".join(map(str, decision.varied))
            varied = f"; {decision.variants} variants of {varied}" if varied else ""
            verb, detail, why = str(operator_of(decision)), parents + varied, decision.why
        case Probe():
            verb, detail, why = "probe", "inputs", decision.why
        case Ask():
            verb, detail, why = "ask", "its owner", decision.why
        case Escalate():
            verb, detail, why = "escalate", str(decision.kind), decision.why
        case Stop():
            verb, detail, why = "stop", str(decision.state), explain(decision)
        case _:
            assert_never(decision)
    return f"{verb} ({detail})" + (f": {why}" if why else "")


def explain(stop: Stop) -> str:
    """Why a job ended, in one line."""
    if stop.code in _UNITS:
        return _budget(stop)
    if stop.code is StopCode.CONTEXT and stop.detail:  # the problem alone is too long
        return stop.detail
    if stop.ended_by is not None and stop.value is not None:
        best = f"candidate {stop.detail} has the best score, {shown(stop.value)}"
        return f"{best}; {_why_ended(dataclasses.replace(stop, code=stop.ended_by))}"
    if stop.code is StopCode.ACCEPTED and stop.value is not None:
        return f"candidate {stop.detail} passed every check with the score {shown(stop.value)}"
    chosen = _CHOSEN if stop.code is StopCode.ACCEPTED and stop.limit is not None else ""
    return (_TEXTS[stop.code] + chosen).format(
        used=_amount(stop, stop.used), limit=_amount(stop, stop.limit), detail=stop.detail or "-"
    )


def explain_without_detail(stop: Stop) -> str:
    """The same for readers elsewhere: without the words of a model, a plug-in or a service, which may quote the
    problem."""
    short = _WITHOUT_DETAIL.get(stop.code)
    return short.format(used=_amount(stop, stop.used)) if short else explain(stop)


def _why_ended(stop: Stop) -> str:
    if stop.code in _UNITS:
        return _budget(stop)
    text = _ENDED_BY.get(stop.code, "its search ended")
    return text.format(used=_amount(stop, stop.used), limit=_amount(stop, stop.limit))


def hours_and_minutes(hours: float) -> str:
    """A duration of hours as people say it: `1 h 30 min`, `20 min`, `45 s`."""
    seconds = round(hours * 3600)
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "min"), (seconds % 60 if seconds < 3600 else 0, "s"))
    return " ".join(f"{value:,} {unit}" for value, unit in parts if value) or "0 s"


def _budget(stop: Stop) -> str:
    unit, limit = _UNITS[stop.code], _amount(stop, stop.limit)
    shared = " that it shares with its batch" if stop.code in (StopCode.BATCH_TOKENS, StopCode.BATCH_HOURS) else ""
    if stop.needed is not None and stop.used is not None and stop.limit is not None:
        verb = "cost" if stop.code is StopCode.BUDGET_USD else "take"
        left = _amount(stop, max(0.0, stop.limit - stop.used))
        return f"the next call may {verb} {_amount(stop, stop.needed)}{unit} and {left} of {limit}{shared} are left"
    used = _amount(stop, stop.used)
    return f"the budget of {limit}{unit}{shared} is spent" + (f" ({used} used)" if used not in ("-", limit) else "")


def _amount(stop: Stop, value: float | None) -> str:
    if value is None:
        return "-"
    if stop.code in (StopCode.BUDGET_HOURS, StopCode.BATCH_HOURS):
        return hours_and_minutes(value)
    return f"{value:,.2f}" if stop.code is StopCode.BUDGET_USD else f"{value:,.0f}"
