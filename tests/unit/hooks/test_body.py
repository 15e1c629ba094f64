"""What a hook is told: the same at each try, and no words of others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.types import StopCode
from workers.hooks.body import event_text

PRIVATE = "the problem says: find the treasure"
JOB: dict[str, Any] = {
    "job": 17, "title": "Merge", "owner": "ann", "tags": ["night"], "state": "accepted", "acceptance": "verified",
    "score": 1.0, "value": None, "iterations": 6, "usd": 0.04, "local_tokens": 9, "cloud_tokens": 0,
    "stop_code": "accepted", "stop_used": None, "stop_limit": None, "stop_needed": None, "stop_value": None,
    "stop_ended_by": None, "stop_detail": "6.0",
}  # fmt: skip


def event(type: str = "job.accepted", **fields: Any) -> dict[str, Any]:
    return {"id": "evt_1", "type": type, "timestamp": "2026-11-29T03:12:44.120931Z", "data": {**JOB, **fields}}


def test_it_is_what_the_page_of_the_documentation_shows() -> None:
    text = event_text(event(), "http://127.0.0.1:4/")
    assert text == event_text(event(), "http://127.0.0.1:4")
    told = json.loads(text)
    assert {name: told[name] for name in ("id", "type", "timestamp")} == {
        "id": "evt_1", "type": "job.accepted", "timestamp": "2026-11-29T03:12:44.120931Z",
    }  # fmt: skip
    assert told["data"] == {
        "job": 17, "title": "Merge", "owner": "ann", "tags": ["night"], "state": "accepted",
        "acceptance": "verified", "score": 1.0, "value": None, "iterations": 6, "stop_code": "accepted",
        "reason": "candidate 6.0 passed every check",
        "spend": {"usd": 0.04, "local_tokens": 9, "cloud_tokens": 0}, "page": "http://127.0.0.1:4/jobs/17",
    }  # fmt: skip


@pytest.mark.parametrize("code", sorted(set(StopCode) - {StopCode.ACCEPTED, StopCode.CONTEXT, StopCode.PLATEAU,
                                                         StopCode.NO_GAIN, StopCode.CRASHES}))  # fmt: skip
def test_no_reason_quotes_what_others_wrote(code: StopCode) -> None:
    """The others' detail is a candidate, a number, a worker's name."""
    told = json.loads(event_text(event(stop_code=code, state=code.state, stop_used=3, stop_detail=PRIVATE), ""))
    assert PRIVATE not in json.dumps(told)
    assert told["data"]["reason"]
    assert told["data"]["page"] is None


def test_a_question_is_not_told() -> None:
    told = json.loads(event_text(event("job.needs_input", state="needs_input", stop_code=None, stop_detail=""), ""))
    assert told["data"]["reason"] == "it asks its owner a question"


def test_an_event_of_no_job_is_told_as_it_is() -> None:
    data = {"host": "gpu-1", "reason": "out of memory", "since": None, "lanes": ["gpu"]}
    sent = {"id": "evt_2", "type": "engine.down", "timestamp": "t", "data": data}
    assert json.loads(event_text(sent, "http://x")) == sent
