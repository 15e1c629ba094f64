"""A job's state as one JSON document: what its next iteration would be built from. Pure; knows no database.

Schema `redraft.state/1`; a field is only ever added to it:

  job, owner, lane, started_at, idle_seconds, read_at, cloud, away, texts
             as the loop loads them; started_at is the moment of the export where no worker has taken the job yet
  batch      the number of the batch whose budget it shares; null for none
  spec       all that was handed in, the held-out checks with their files included: it is the owner's own
  lessons    those recalled at the first iteration; null before
  hints      advice that the open iteration sees, in the order in which it was given
  waiting_hints  how many no iteration has seen yet
  history    each recorded iteration with its candidates, their lineage and all their verdicts
  open       the iteration under way: its move, and what is committed of it; null between iterations
  incumbent  {iteration, slot, score, value} of the best so far; null where there is none
  ended      {state, why, acceptance, code, used, limit, needed, detail, value, ended_by} of a job that has
             ended; null before
  spend      US dollars, tokens in + out, seconds on the engine
  limits     what the next decision must keep to: hours used, parallel slots, whether
             passing the checks is proof, whether candidates are programs, when to ask for help and to move up, how
             much may leave for it, and the goal of a job with a score
  next       the move under way, or what the strategy decides on this history: {move: draft | revise | aggregate |
             synthesise | mutate | probe | escalate | ask | stop, …, words}
"""

from __future__ import annotations

import dataclasses
from typing import Any, assert_never

from tasks.ports import Decider
from tasks.reasons import describe, explain
from tasks.scoring import value_of
from tasks.types import (
    Aggregate,
    Ask,
    Decision,
    Draft,
    Egress,
    Escalate,
    Job,
    Limits,
    Mutate,
    Probe,
    Recheck,
    Revise,
    Start,
    Stop,
    Synthesise,
)

SCHEMA = "redraft.state/1"


def state_document(job: Job, limits: Limits, strategy: Decider) -> dict[str, Any]:
    """The document of `job`, whose next move `strategy` decides under `limits` unless one is under way."""
    following = job.open.move if job.open is not None else strategy.decide(job.history, limits)
    opened = None
    if job.open is not None:
        opened = {
            "number": job.open.number,
            "move": _decision(job.open.move),
            "candidates": [dataclasses.asdict(candidate) for candidate in job.open.candidates],
            "checked": sorted(job.open.checked),
            "inputs": job.open.inputs,
        }
    incumbent = None
    if job.incumbent is not None:
        incumbent = {**dataclasses.asdict(job.incumbent.ref), "score": job.incumbent.score}
        incumbent["value"] = value_of(job.incumbent)
    return {
        "schema": SCHEMA,
        "job": job.id,
        "owner": job.owner,
        "lane": str(job.lane),
        "started_at": job.started_at,
        "idle_seconds": job.idle_seconds,
        "read_at": job.read_at,
        "cloud": job.cloud,
        "away": sorted(job.away),
        "texts": dict(job.texts),
        "batch": job.batch,
        "spec": dataclasses.asdict(job.spec),
        "lessons": None if job.lessons is None else [dataclasses.asdict(lesson) for lesson in job.lessons],
        "hints": [dataclasses.asdict(hint) for hint in job.hints],
        "waiting_hints": job.waiting_hints,
        "earlier": [dataclasses.asdict(iteration) for iteration in job.earlier],
        "new_checks": job.new_checks,
        "history": [dataclasses.asdict(iteration) for iteration in job.history],
        "open": opened,
        "incumbent": incumbent,
        "ended": None if job.ended is None else _stop(job.ended),
        "spend": dataclasses.asdict(job.spend),
        "limits": {
            "hours": limits.hours,
            "width": limits.width,
            "decisive": limits.decisive,
            "executable": limits.executable,
            "goal": None if limits.goal is None else dataclasses.asdict(limits.goal),
            "varies": limits.varies,
            "cloud": limits.egress is not Egress.NEVER,
            "egress": str(limits.egress),
            "help": dataclasses.asdict(limits.help),
            "escalate_after": limits.escalate_after,
            "move_up_after": limits.move_up_after,
        },
        "next": _decision(following),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    match decision:
        case Draft():
            name, fields = "draft", dataclasses.asdict(decision)
        case Revise():
            name, fields = "revise", dataclasses.asdict(decision)
        case Aggregate():
            name, fields = "aggregate", dataclasses.asdict(decision)
        case Synthesise():
            name, fields = "synthesise", dataclasses.asdict(decision)
        case Mutate():
            name, fields = "mutate", dataclasses.asdict(decision)
        case Probe():
            name, fields = "probe", dataclasses.asdict(decision)
        case Ask():
            name, fields = "ask", dataclasses.asdict(decision)
        case Recheck():
            name, fields = "recheck", dataclasses.asdict(decision)
        case Start():
            name, fields = "start", dataclasses.asdict(decision)
        case Escalate():
            name, fields = "escalate", dataclasses.asdict(decision)
        case Stop():
            name, fields = "stop", _stop(decision)
        case _:
            assert_never(decision)
    return {"move": name, **fields, "words": describe(decision)}


def _stop(stop: Stop) -> dict[str, Any]:
    return {"state": str(stop.state), "why": explain(stop), **dataclasses.asdict(stop)}
