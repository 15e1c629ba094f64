"""What a hook is told of an event, as JSON: the same text at each try, from what the outbox kept of it. No problem, no
answer, no question and no word that a model, a plug-in or a service wrote is in it. Must not know how it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.reasons import explain_without_detail
from tasks.types import Acceptance, Stop, StopCode

TEST = "hook.test"


def event_text(event: Mapping[str, Any], page: str) -> str:
    """The body of an event as `redraft_tell` wrote it; `page` is the address of the live page, empty where there is
    none."""
    data = event["data"]
    told = _job(data, page) if event["type"].startswith("job.") else dict(data)
    return json.dumps({**{name: event[name] for name in ("id", "type", "timestamp")}, "data": told})


def _job(data: Mapping[str, Any], page: str) -> dict[str, Any]:
    names = ("job", "title", "owner", "tags", "state", "acceptance", "score", "value", "iterations")
    spend = {name: data[name] for name in ("usd", "local_tokens", "cloud_tokens")}
    link = f"{page.rstrip('/')}/jobs/{data['job']}" if page else None
    return {
        **{name: data[name] for name in names},
        "stop_code": data["stop_code"],
        "reason": _reason(data),
        "spend": spend,
        "page": link,
    }


def _reason(data: Mapping[str, Any]) -> str:
    if data["stop_code"] is None:
        return "it asks its owner a question" if data["state"] == "needs_input" else ""
    ended_by, acceptance = data["stop_ended_by"], data["acceptance"]
    return explain_without_detail(
        Stop(
            code=StopCode(data["stop_code"]),
            used=data["stop_used"],
            limit=data["stop_limit"],
            needed=data["stop_needed"],
            detail=data["stop_detail"],
            acceptance=Acceptance(acceptance) if acceptance else None,
            value=data["stop_value"],
            ended_by=StopCode(ended_by) if ended_by else None,
        )
    )
