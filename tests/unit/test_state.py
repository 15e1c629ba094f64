"""The state document: complete, plain JSON, and honest about what comes next."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tasks.policy import Correct, LoopRules, Single, hours_used, limits_of, width_of
from tasks.state import state_document
from tasks.types import (
    Ask,
    Candidate,
    CandidateRef,
    CheckSpec,
    Draft,
    Escalate,
    Iteration,
    Job,
    JobSpec,
    Lane,
    Mutate,
    OpenIteration,
    Operator,
    Probe,
    Revise,
    Spend,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REF = CandidateRef(iteration=1, slot=1)
TRIED = Candidate(ref=REF, operator=Operator.DRAFT, text="7", root=REF, score=0.5)
HIDDEN = CheckSpec(name="h", kind="python", value="h.py", files={"h.py": "assert 1"}, held_out=True)
JOB = Job(
    id=3,
    owner="ada",
    spec=JobSpec(title="t", problem="p", checks=(HIDDEN,)),
    lane=Lane.GPU,
    history=(Iteration(number=1, operator=Operator.DRAFT, candidates=(TRIED,)),),
    open=None,
    incumbent=TRIED,
    spend=Spend(usd=Decimal("0.1"), local_tokens=9),
    started_at=NOON,
)


def document(job: Job, strategy: Correct | Single | None = None) -> dict[str, object]:
    limits = limits_of(job, LoopRules(width=2, escalate_after=10, move_up_after=3))
    made = state_document(job, limits, strategy or Correct())
    read: dict[str, object] = json.loads(json.dumps(made, default=str))
    return read


def test_between_iterations_the_strategy_decides_what_is_next() -> None:
    assert document(JOB)["next"] == {
        "move": "revise",
        "parents": [{"iteration": 1, "slot": 1}],
        "analyse": False,
        "why": "",
        "words": "revise (1.1)",
    }
    stop = document(JOB, Single())["next"]
    assert isinstance(stop, dict)
    assert (stop["move"], stop["state"], stop["why"]) == ("stop", "unsolved", "its one draft was not accepted")


@pytest.mark.parametrize(
    ("move", "name"),
    [
        (Draft(slots=1, restart=True), "draft"),
        (Revise(parents=(REF,)), "revise"),
        (Mutate(parents=(REF,), inspirations=(REF,), warmth=1), "mutate"),
        (Probe(), "probe"),
        (Escalate(), "escalate"),
        (Ask(), "ask"),
    ],
)
def test_within_an_iteration_its_own_move_is_next(
    move: Draft | Revise | Mutate | Probe | Escalate | Ask, name: str
) -> None:
    opened = OpenIteration(number=2, move=move, candidates=(TRIED,), checked=frozenset({1, 0}))
    made = document(dataclasses.replace(JOB, open=opened))
    following, under_way = made["next"], made["open"]
    assert isinstance(following, dict)
    assert isinstance(under_way, dict)
    assert following["move"] == name
    assert under_way["move"] == following
    assert under_way["checked"] == [0, 1]


def test_every_field_of_a_job_is_in_its_state() -> None:
    made = document(JOB)
    renamed = {"id": "job"}
    assert {renamed.get(field.name, field.name) for field in dataclasses.fields(Job)} <= set(made)
    spec = made["spec"]
    assert isinstance(spec, dict)
    assert {field.name for field in dataclasses.fields(JobSpec)} == set(spec)
    assert spec["checks"][0]["files"] == {"h.py": "assert 1"}


def test_the_width_is_that_of_the_widest_draft() -> None:
    assert width_of(JOB, 5) == 1
    assert width_of(dataclasses.replace(JOB, history=()), 5) == 5
    assert width_of(dataclasses.replace(JOB, open=OpenIteration(number=2, move=Draft(slots=4))), 5) == 4


def test_hours_stand_still_while_a_job_is_idle() -> None:
    later = dataclasses.replace(JOB, read_at=NOON + timedelta(hours=3))
    assert hours_used(later) == 3.0
    assert hours_used(dataclasses.replace(later, idle_seconds=3600.0)) == 2.0
