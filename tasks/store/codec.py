"""Moves, checks and requests as JSON for the database, and back. Plain dictionaries stay inside this room."""

from __future__ import annotations

import dataclasses
from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, assert_never

from sqlalchemy import Row

from tasks.errors import MalformedJob
from tasks.types import (
    Aggregate,
    Ask,
    Attachment,
    CallKey,
    Candidate,
    CandidateRef,
    ChatRequest,
    CheckSpec,
    Claim,
    Completion,
    Draft,
    Escalate,
    EscalationKind,
    FileSet,
    GuardHit,
    GuardKind,
    Lesson,
    LessonKind,
    Move,
    Mutate,
    Omission,
    Operator,
    Probe,
    Recheck,
    Revise,
    Start,
    Synthesise,
    Verdict,
)


def move_to_json(move: Move) -> dict[str, Any]:  # noqa: PLR0911 - one a move
    """A move, tagged with its kind."""
    match move:
        case Draft():
            avoid = {"avoid": _refs_to_json(move.avoid)} if move.avoid else {}
            return {"kind": "draft", "slots": move.slots, "restart": move.restart, "why": move.why, **avoid}
        case Revise():
            analyse = {"analyse": True} if move.analyse else {}
            return {"kind": "revise", "parents": _refs_to_json(move.parents), "why": move.why, **analyse}
        case Aggregate():
            parents = _refs_to_json(move.parents)
            return {"kind": "aggregate", "parents": parents, "slots": move.slots, "why": move.why}
        case Synthesise():
            return {"kind": "synthesise", "parents": _refs_to_json(move.parents), "why": move.why}
        case Mutate():
            parents, inspirations = _refs_to_json(move.parents), _refs_to_json(move.inspirations)
            how: dict[str, Any] = {"edits": move.edits, "warmth": move.warmth}
            if move.varied:
                how |= {"varied": _refs_to_json(move.varied), "variants": move.variants}
            return {"kind": "mutate", "parents": parents, "inspirations": inspirations, **how, "why": move.why}
        case Probe():
            return {"kind": "probe", "why": move.why}
        case Ask():
            return {"kind": "ask", "why": move.why}
        case Recheck():
            return {"kind": "recheck", "parents": _refs_to_json(move.parents), "why": move.why}
        case Start():
            return {"kind": "start", "why": move.why}
        case Escalate():
            return {"kind": "escalate", "asks": move.kind, "why": move.why}
        case _:
            assert_never(move)


def move_from_json(stored: Mapping[str, Any]) -> Move:  # noqa: PLR0911 - one a move
    """The inverse of `move_to_json`."""
    why, parents = stored["why"], _refs_from_json(stored.get("parents", ()))
    match stored["kind"]:
        case "draft":
            avoid = _refs_from_json(stored.get("avoid", ()))
            return Draft(slots=stored["slots"], restart=stored["restart"], avoid=avoid, why=why)
        case "aggregate":
            return Aggregate(parents=parents, slots=stored["slots"], why=why)
        case "synthesise":
            return Synthesise(parents=parents, why=why)
        case "mutate":
            varied = stored.get("varied", [])
            one = bool(varied) and isinstance(varied[0], int)  # stored before several could be varied
            return Mutate(
                parents=parents,
                inspirations=_refs_from_json(stored["inspirations"]),
                edits=stored["edits"],
                warmth=stored["warmth"],
                varied=_refs_from_json([varied] if one else varied),
                variants=stored.get("variants", 0),
                why=why,
            )
        case "probe":
            return Probe(why=why)
        case "ask":
            return Ask(why=why)
        case "recheck":
            return Recheck(parents=parents, why=why)
        case "start":
            return Start(why=why)
        case "escalate":
            return Escalate(kind=EscalationKind(stored["asks"]), why=why)
        case _:
            return Revise(parents=parents, analyse=stored.get("analyse", False), why=why)


def _refs_to_json(refs: Sequence[CandidateRef]) -> list[list[int]]:
    return [[ref.iteration, ref.slot] for ref in refs]


def _refs_from_json(stored: Sequence[Sequence[int]]) -> tuple[CandidateRef, ...]:
    return tuple(CandidateRef(iteration=iteration, slot=slot) for iteration, slot in stored)


def checks_to_json(checks: tuple[CheckSpec, ...]) -> list[dict[str, Any]]:
    """The checks with the contents of their files. What follows from the job's own files is kept only where there are
    any, so that the hash of other jobs stays what it was."""
    return [_check_to_json(check) for check in checks]


def _check_to_json(check: CheckSpec) -> dict[str, Any]:
    fields = {**dataclasses.asdict(check), "files": _files_to_json(check.files)}
    del fields["written"], fields["read_only"]
    if not check.folder:
        del fields["folder"]
    return fields


def file_set_to_json(files: FileSet) -> dict[str, Any]:
    """A job's files; empty where it names none."""
    return dataclasses.asdict(files) if files else {}


def _files_to_json(files: Mapping[str, str | bytes]) -> dict[str, Any]:
    """A text as it is, bytes as {"base64": …}."""
    return {
        name: content if isinstance(content, str) else {"base64": b64encode(content).decode()}
        for name, content in files.items()
    }


def attachment_to_json(attachment: Attachment) -> dict[str, Any]:
    """An attachment as its job names it; whose it is follows from the job."""
    return {name: value for name, value in dataclasses.asdict(attachment).items() if name != "owner"}


def lessons_to_json(lessons: Sequence[Lesson]) -> list[dict[str, Any]]:
    """The lessons as a job recalled them."""
    return [dataclasses.asdict(lesson) for lesson in lessons]


def lessons_from_json(stored: Sequence[Mapping[str, Any]] | None) -> tuple[Lesson, ...] | None:
    """The inverse of `lessons_to_json`; None where nothing was recalled yet. Raises `MalformedJob`."""
    if stored is None:
        return None
    try:
        return tuple(Lesson(**{**lesson, "kind": LessonKind(lesson["kind"])}) for lesson in stored)
    except (TypeError, KeyError, ValueError) as error:
        raise MalformedJob(f"recalled: what is stored are no lessons ({error})") from error


def request_to_json(request: ChatRequest) -> dict[str, Any]:
    """A chat request as it was sent."""
    return dataclasses.asdict(request)


def key_to_row(key: CallKey) -> dict[str, Any]:
    """The columns that tell a job's calls apart."""
    return {
        "iteration": key.iteration,
        "operator": key.operator,
        "slot": key.slot,
        "step": key.step,
        "check_name": key.check,
        "vote": key.vote,
        "attempt": key.attempt,
    }


def omissions_to_json(omissions: Sequence[Omission]) -> list[dict[str, Any]]:
    """What a prompt left out, block by block."""
    return [dataclasses.asdict(omission) for omission in omissions]


def call_to_row(
    claim: Claim,
    key: CallKey,
    request: Mapping[str, Any],
    prompt_hash: str,
    completion: Completion,
    omissions: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A call as the journal keeps it."""
    hit, seen = completion.guard, completion.let_through
    repeats = {**dataclasses.asdict(seen), "let_through": True} if seen else None
    return {
        "job_id": claim.job,
        **key_to_row(key),
        "model": completion.model,
        "engine": completion.engine,
        "request": request,
        "prompt_hash": prompt_hash,
        "text": completion.text,
        "reasoning": completion.reasoning,
        "finish_reason": completion.finish_reason,
        "guard": repeats if hit is None else dataclasses.asdict(hit),
        "prompt_tokens": completion.prompt_tokens,
        "cached_tokens": completion.cached_tokens,
        "completion_tokens": completion.completion_tokens,
        "usd": completion.usd,
        "seconds": completion.seconds,
        "worker": claim.worker,
        "epoch": claim.epoch,
        "omissions": list(omissions),
    }


def completion_from_row(row: Row[Any]) -> Completion:
    """A journalled call's completion."""
    repeats = dict(row.guard or {})
    let_through = repeats.pop("let_through", False)
    hit = GuardHit(**{**repeats, "kind": GuardKind(repeats["kind"])}) if repeats else None
    return Completion(
        text=row.text,
        finish_reason=row.finish_reason,
        model=row.model,
        prompt_tokens=row.prompt_tokens,
        cached_tokens=row.cached_tokens,
        completion_tokens=row.completion_tokens,
        seconds=row.seconds,
        reasoning=row.reasoning,
        guard=None if let_through else hit,
        let_through=hit if let_through else None,
        usd=Decimal(row.usd),
        engine=row.engine,
    )


def candidate_from_row(row: Row[Any], verdicts: tuple[Verdict, ...]) -> Candidate:
    """A stored candidate with its verdicts."""
    return Candidate(
        ref=CandidateRef(iteration=row.iteration, slot=row.slot),
        operator=Operator(row.operator),
        text=row.text,
        root=CandidateRef(iteration=row.root_iteration, slot=row.root_slot),
        revision=row.revision,
        parent=_ref(row.parent_iteration, row.parent_slot),
        guard=GuardKind(row.guard) if row.guard else None,
        let_through=GuardKind(row.let_through) if row.let_through else None,
        verdicts=verdicts,
        score=row.score,
        accepted=row.accepted,
        behaviour=row.behaviour,
        repeats=_ref(row.repeats_iteration, row.repeats_slot),
        objection=row.objection,
        fitness=row.fitness,
    )


def _ref(iteration: int | None, slot: int | None) -> CandidateRef | None:
    return None if iteration is None or slot is None else CandidateRef(iteration=iteration, slot=slot)
