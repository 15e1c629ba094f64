"""The four example jobs, each from its file to acceptance: real Postgres, real sandbox, a scripted model whose first
answer is wrong."""

from __future__ import annotations

import pytest

from tasks.client import Client
from tasks.heartbeat import SilentHeartbeat
from tasks.jobflags import Flags
from tasks.judge_panel import ModelJudgePanel
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.settings import load_settings
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.submit import Rules, read_jobs
from tasks.types import ChatRequest, JobSpec, JobState
from tasks.validators import registry
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop
from workers.packaged import ops
from workers.strategies import load_strategies

pytestmark = pytest.mark.integration
EXAMPLES = sorted(ops("examples").glob("*.md"))
ANSWER_TOKENS = 768  # of the small model that the examples are meant for

CODE = """```python
def merge_slots(slots):
    merged = []
    for start, end in sorted(slots):
        if end < start:
            raise ValueError("a slot ends before it starts")
        if end == start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
```"""
JSON = """```json
{"order": "NL-2291", "customer": "Marta Lindqvist",
 "items": [{"article": "desk lamp", "quantity": 12, "unit_price": 34.50},
           {"article": "floor lamp", "quantity": 3, "unit_price": 129.00}],
 "deliver_by": "2026-03-20", "city": "Malmö"}
```"""
NOTICE = (
    "Dear tenants, on Thursday, 12 March, the water in the whole house is turned off from 9:00 to 14:00, because the "
    "main valve in the cellar is replaced. Nobody has to let anyone into a flat. Please fill a kettle or a bucket "
    "before 9:00 if you need water during these hours. When the water is back it may be brown for a few minutes: let "
    "it run until it is clear before you drink it. Mr Okafor, the janitor, is glad to answer your questions."
)
COLD = (
    NOTICE.replace("Dear tenants, on", "On")
    .replace(" Please fill", " Fools who forget to fill")
    .replace("before 9:00 if you need water during these hours", "before 9:00 have only themselves to blame")
)
# The wrong answers, in turn, and the right one.
ANSWERS = {
    "code": (
        "```python\ndef merge_slots(slots):\n    return sorted(slots)\n```",  # fails what it is shown
        CODE.replace("max(merged[-1][1], end)", "end"),  # fails what is hidden only
        CODE,
    ),
    "maths": (
        "The rates are 1/6 + 1/4 = 5/12.\nANSWER: 12/5",
        r"24/7, so\nANSWER: $\frac{48}{14}$ hours",
        "ANSWER: 24/7",
    ),
    "extract": (JSON.replace('"2026-03-20"', '"20 March"'), JSON.replace("12,", "10,"), JSON),
    "prose": ("The water is off on 12 March. [Name]", COLD, NOTICE),
}


def read(name: str) -> JobSpec:
    rules = Rules(validators=registry, strategies=tuple(load_strategies().working))
    [spec] = read_jobs([str(ops("examples") / f"{name}.md")], Flags(), rules, bytes).specs
    return spec


def model(name: str) -> ScriptedModel:
    """Answers in turn; a judge objects to blame, and to nothing else."""
    answers = iter(ANSWERS[name])

    def answer(request: ChatRequest) -> str:
        prompt = request.messages[-1].content
        if request.choices:
            return "FAIL" if "to blame` is rude" in prompt else "PASS"
        if "You are a judge" in prompt:
            return "- `to blame` is rude" if "to blame" in prompt else "NO PROBLEMS"
        return "NO PROBLEMS" if "List the problems" in prompt else next(answers)

    return ScriptedModel(answer)


def run(fleet: Database, model: ScriptedModel) -> None:
    loop = twin_loop(
        PostgresLedger(fleet, fault_cap=3),
        model,
        judge_panel=lambda model: ModelJudgePanel(model=model),
        sampling=Sampling(answer_tokens=ANSWER_TOKENS),
        strategies=load_strategies().working,
        sandbox=BubblewrapSandbox(default_runtime_folder(load_settings().cache)),
    )
    while (claim := take(fleet)) is not None:
        loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def test_there_is_an_answer_for_every_example() -> None:
    assert [path.stem for path in EXAMPLES] == sorted(ANSWERS)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_example_is_corrected_to_acceptance(alice: Client, fleet: Database, name: str) -> None:
    job = alice.submit(read(name))[0]
    run(fleet, model(name))
    summary = alice.summary(job)
    assert (summary.state, summary.acceptance) == (JobState.ACCEPTED, "verified")
    assert (summary.iterations, summary.answer) == (3, ANSWERS[name][-1])
    assert all(verdict.feedback for i in alice.history(job) for verdict in i.verdicts if not verdict.passed)


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        ("code", ["python:code_visible.py", "python:code_hidden.py"]),
        ("maths", ["answer", "answer"]),
        ("extract", ["schema:extract_schema.json", "command:extract_values.py"]),
        ("prose", ["command:prose_form.py", "judge:prose_rubric.txt"]),
    ],
)
def test_each_check_of_an_example_stops_the_answer_it_is_there_for(
    alice: Client, fleet: Database, name: str, failed: list[str]
) -> None:
    job = alice.submit(read(name))[0]
    run(fleet, model(name))
    said = [[v.check for v in i.verdicts if not v.passed] for i in alice.history(job)]
    assert said == [[failed[0]], [failed[1]], []]


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_example_fits_the_small_model(name: str) -> None:
    assert len(ANSWERS[name][-1]) < 4 * ANSWER_TOKENS
    assert read(name).budget.iterations <= 8
