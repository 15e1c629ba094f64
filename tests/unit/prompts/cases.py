"""Jobs, candidates and verdicts that the tests of prompts share."""

from __future__ import annotations

from datetime import UTC, datetime

from tasks.prompts import build, layout, mutating
from tasks.prompts.mutating import Change
from tasks.types import (
    Candidate,
    CandidateRef,
    CheckSpec,
    Cut,
    Job,
    JobSpec,
    Lane,
    Operator,
    Spend,
    Verdict,
)

VISIBLE = CheckSpec(
    name="python:visible.py",
    kind="python",
    value={"file": "visible.py"},
    files={"visible.py": "from solution import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n"},
)
HIDDEN = CheckSpec(
    name="python:hidden.py",
    kind="python",
    value={"file": "hidden.py"},
    files={"hidden.py": "from solution import add\n\n\ndef test_more():\n    assert add(-7, 4) == -3\n"},
    held_out=True,
)
RUBRIC = CheckSpec(name="judge:r.md", kind="judge", value="r.md", files={"r.md": "1. It adds.\n2. It is short.\n"})
BY_GOAL = CheckSpec(name="judge", kind="judge", value="", held_out=True)
ANSWER = CheckSpec(name="answer", kind="answer", value={"number": "1729", "tolerance": None})


def job_of(*checks: CheckSpec, problem: str = "Add two numbers.", title: str = "Addition") -> Job:
    return Job(
        id=1,
        owner="alice",
        spec=JobSpec(title=title, problem=problem, checks=checks),
        lane=Lane.GPU,
        history=(),
        open=None,
        incumbent=None,
        spend=Spend(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def candidate(text: str, *verdicts: Verdict) -> Candidate:
    ref = CandidateRef(iteration=1, slot=0)
    return Candidate(ref=ref, operator=Operator.DRAFT, text=text, root=ref, verdicts=verdicts)


def failed(check: CheckSpec, feedback: str, *, held_out: bool | None = None) -> Verdict:
    hidden = check.held_out if held_out is None else held_out
    return Verdict(check=check.name, kind=check.kind, passed=False, score=0.0, held_out=hidden, feedback=feedback)


def prompts_of(job: Job, parent: Candidate, bugs: tuple[str, ...] = (), cut: Cut = layout.WHOLE) -> dict[str, str]:
    made = {
        "draft": build.draft(job, cut=cut),
        "review": build.review(job, parent, cut=cut),
        "revise": build.revise(job, parent, bugs, cut=cut),
        "repair": build.repair(job, parent, cut=cut),
        "redraft": build.redraft(job, [parent], cut=cut),
        "aggregate": build.aggregate(job, [parent, parent], cut=cut),
        "synthesise": build.synthesise(job, [parent, parent], cut=cut),
        "mutate": mutating.mutate(job, Change(parent=parent, tried=[parent], inspirations=[parent, parent]), cut=cut),
        "edit": mutating.mutate(job, Change(parent=parent, number=2, edits=True), cut=cut),
        "inputs": build.inputs(job, ["def add(a, b)"], cut=cut),
    }
    return {name: "".join(f"[{m.role}]\n{m.content}\n" for m in messages) for name, messages in made.items()}


CODE = candidate(
    "```python\ndef add(a, b):\n    return a - b\n```",
    failed(VISIBLE, "test_add: assert -1 == 5"),
    failed(HIDDEN, "test_more: assert -11 == -3"),
)
NUMBER = candidate("It is\nANSWER: 12", failed(ANSWER, "expected 1729, got 12"))
