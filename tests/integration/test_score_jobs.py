"""Jobs with a score from the job file to what people read of them: real Postgres, real sandbox, a scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.client import Client
from tasks.heartbeat import SilentHeartbeat
from tasks.jobflags import Flags
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.settings import load_settings
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.submit import Rules, read_jobs
from tasks.types import ChatRequest, JobState, StopCode
from tasks.validators import registry
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop
from workers.cli import history, jobs
from workers.strategies import load_strategies
from workers.wording import score_of

pytestmark = pytest.mark.integration

JOB = """---
strategy: correct
checks:
  - score: ["./evaluate.py", "{candidate}"]
    goal: minimise
    timeout_seconds: 2
  - score: ["./decide.py", "{candidate}"]
    goal: minimise
    plateau: {iterations: 2}
    held_out: true
budget: {iterations: 8}
---
Write a sentence with the words sun, moon and star, as short as you can.
"""
EVALUATE = """import json, re, sys, time
text = open(sys.argv[1]).read()
if "hang" in text:
    time.sleep(60)
missing = [word for word in ("sun", "moon", "star") if not re.search(word, text)]
if missing:
    print(json.dumps({"score": None, "valid": False, "feedback": f"it lacks {missing[0]}"}))
else:
    print(json.dumps({"score": len(text), "metrics": {"words": len(text.split())}, "feedback": "it could be shorter"}))
"""
DECIDE = "import sys\nprint(7000 + len(open(sys.argv[1]).read()))\n"
ANSWERS = (
    "the sun and the moon",  # invalid
    "the sun, the moon and a star",  # 28
    "hang sun moon star",  # beyond its time
    "sun moon star",  # 13
    "sun, moon, star",  # 15
    "sun and moon, star",  # 18
)


def test_the_shortest_valid_answer_is_accepted_at_the_plateau_and_its_deciding_value_is_shown_to_people_alone(
    alice: Client, fleet: Database, tmp_path: Path
) -> None:
    for name, text in {"job.md": JOB, "evaluate.py": EVALUATE, "decide.py": DECIDE}.items():
        (tmp_path / name).write_text(text)
    rules = Rules(validators=registry, strategies=tuple(load_strategies().working))
    [spec] = read_jobs([str(tmp_path / "job.md")], Flags(), rules, bytes).specs
    job = alice.submit(spec)[0].job
    given, prompts = iter(ANSWERS), []

    def answer(request: ChatRequest) -> str:
        prompts.append("\n".join(message.content for message in request.messages))
        return "NO PROBLEMS" if "List what is wrong" in prompts[-1] else next(given)

    loop = twin_loop(
        PostgresLedger(fleet, fault_cap=3),
        ScriptedModel(answer),
        sampling=Sampling(answer_tokens=200),
        sandbox=BubblewrapSandbox(default_runtime_folder(load_settings().cache)),
    )
    while (claim := take(fleet)) is not None:
        loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())

    summary, rounds = alice.summary(job), alice.history(job)
    assert (summary.state, summary.stop_ended_by, summary.value) == (JobState.ACCEPTED, StopCode.PLATEAU, 7013.0)
    assert summary.answer == "sun moon star"
    assert summary.reason == "candidate 4.0 has the best score, 7013; nothing better came in 2 iterations"
    assert [row.value for row in rounds] == [None, 7028.0, None, 7013.0, 7015.0, 7018.0]
    assert [row.improved for row in rounds] == [True, True, False, True, False, False]
    said = [row.verdicts[0].feedback for row in rounds]
    assert "it lacks star" in said[0]
    assert "more than the 2 s allowed" in said[2]
    shown = "\n".join(prompts)
    assert "score:evaluate.py = 28 (less is better), words = 7" in shown
    assert "it could be shorter" in shown
    assert "70" not in shown
    assert "decide" not in shown
    assert breaches(fleet, submitted=[job], drained=True) == ()

    shown_scores = ["invalid", "7028", "invalid", "7013", "7015", "7018"]
    assert [score_of(row) for row in rounds] == shown_scores
    assert [score_of(row) for row in reversed(alice.board.iterations(job, limit=9))] == shown_scores
    assert [score_of(row) for row in alice.board.candidates(job, 1, 6)] == shown_scores

    document = history.document(rounds[3])
    assert (document["value"], document["verdicts"][0]["value"]) == (7013.0, 13.0)
    assert document["verdicts"][0]["metrics"] == {"words": 3.0}
    assert jobs.document(summary)["value"] == 7013.0
