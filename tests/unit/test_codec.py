"""Checks with their files, as the database keeps them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import MalformedJob
from tasks.store.codec import call_to_row, checks_to_json, completion_from_row, move_from_json, move_to_json
from tasks.store.stored import spec_of
from tasks.types import (
    Aggregate,
    Ask,
    CallKey,
    CandidateRef,
    CheckSpec,
    Claim,
    Completion,
    Draft,
    Escalate,
    EscalationKind,
    GuardHit,
    GuardKind,
    Move,
    Mutate,
    Operator,
    Probe,
    Revise,
    Synthesise,
)

CHECK = CheckSpec(
    name="python:t.py",
    kind="python",
    value="t.py",
    held_out=True,
    files={"t.py": "def test(): ...\n", "rows/é.bin": b"\x00\xff\xfe"},
)


def stored(*checks: dict[str, Any]) -> tuple[CheckSpec, ...]:
    row = SimpleNamespace(
        **dict.fromkeys(("title", "problem", "strategy", "key", "owner"), ""),
        **dict.fromkeys(("budget_usd", "budget_hours", "budget_iterations", "budget_tokens", "priority", "seed"), 1),
        **{
            f"budget_{unit}": None
            for unit in ("completion_tokens", "local_tokens", "cloud_tokens", "gpu_seconds", "evaluations")
        },
        **{
            "tags": [],
            "attachments": [],
            "memory": True,
            "cut": False,
            "files": {},
            "ask": False,
            "ask_hours": 24.0,
            "temperature": None,
            "start": "",
            "model": "",
            "lane": "gpu",
            "egress": "never",
            "checks": list(checks),
        },
    )
    return spec_of(row).checks  # type: ignore[arg-type]


def test_files_come_back_as_they_were_texts_and_bytes() -> None:
    written = json.loads(json.dumps(checks_to_json((CHECK,))))
    assert written[0]["files"] == {"t.py": "def test(): ...\n", "rows/é.bin": {"base64": "AP/+"}}
    assert stored(*written) == (CHECK,)


@pytest.mark.parametrize("field", ["guard", "let_through", None])
def test_a_loop_that_was_cut_or_let_through_comes_back_from_the_journal_as_it_was(field: str | None) -> None:
    hit = GuardHit(kind=GuardKind.TEMPLATE, at_char=7, copies=12, period_chars=40, unit="Gate 0")
    fields = {field: hit} if field else {}
    completion = Completion(
        text="x", finish_reason="stop", model="m", prompt_tokens=1, cached_tokens=0, completion_tokens=2,
        seconds=0.5, **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    claim = Claim(job=1, worker="w", epoch=2, turn="t")
    key = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=3)
    row = json.loads(json.dumps(call_to_row(claim, key, {}, "hash", completion), default=str))
    again = completion_from_row(SimpleNamespace(**row))  # type: ignore[arg-type]
    assert again == completion
    assert (again.let_through or again.guard or hit).unit == "Gate 0"


def test_checks_of_earlier_releases_are_read() -> None:
    old = {"name": "python:v.py", "kind": "python", "value": "v.py", "files": {"v.py": "x"}}
    (check,) = stored(old)
    assert (check.files, check.texts, check.text("v.py")) == ({"v.py": "x"}, {"v.py": "x"}, "x")
    assert stored({"name": "answer", "kind": "answer", "value": {"exact": "1"}})[0].files == {}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("files", {"a.bin": {"base64": "%"}}, "base64"),
        ("files", {"a.bin": {"base64": 5}}, "base64"),
        ("files", {"a.bin": 5}, "base64"),
        ("isolation", "none", "process, shared"),
        ("runtime", "../x", "the name of a runtime"),
    ],
)
def test_what_no_submission_stores_is_named(field: str, value: Any, said: str) -> None:
    with pytest.raises(MalformedJob, match=said) as refused:
        stored({"name": "c", "kind": "python", "value": "t.py", field: value})
    assert f"checks[0].{field}" in str(refused.value)


ONE, OTHER = CandidateRef(iteration=1, slot=0), CandidateRef(iteration=2, slot=3)


@pytest.mark.parametrize(
    "move",
    [
        Draft(slots=2, why="w"),
        Draft(slots=2, restart=True, avoid=(ONE, OTHER)),
        Revise(parents=(ONE, OTHER)),
        Revise(parents=(ONE,), analyse=True, why="w"),
        Aggregate(parents=(ONE, OTHER), slots=3, why="w"),
        Synthesise(parents=(ONE, OTHER)),
        Mutate(parents=(ONE, ONE, OTHER), why="w"),
        Mutate(parents=(ONE,), inspirations=(OTHER, ONE), edits=True, warmth=3),
        Mutate(parents=(ONE,), varied=(OTHER,), variants=16),
        Mutate(parents=(ONE,), varied=(OTHER, ONE), variants=16),
        Probe(why="w"),
        Escalate(why="w"),
        Ask(why="w"),
        Escalate(kind=EscalationKind.HINT_ON_BEST, why="w"),
    ],
)
def test_a_move_comes_back_from_the_database_as_it_was(move: Move) -> None:
    assert move_from_json(json.loads(json.dumps(move_to_json(move)))) == move


def test_a_mutation_stored_when_one_candidate_was_varied_alone_can_be_read() -> None:
    move = Mutate(parents=(ONE,), varied=(OTHER,), variants=16)
    stored = move_to_json(move)
    assert move_from_json({**stored, "varied": stored["varied"][0]}) == move


def test_moves_of_earlier_releases_are_read() -> None:
    assert move_from_json({"kind": "draft", "slots": 2, "restart": True, "why": ""}) == Draft(slots=2, restart=True)
    assert move_from_json({"kind": "revise", "parents": [[1, 0]], "why": "w"}) == Revise(parents=(ONE,), why="w")
