"""The stand-in speaks as the SDK's own types say: every body and event is held to them, and has nothing more."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import BaseModel
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.standin import responses
from tests.standin.responses import FAULTS, Rule, StandIn, serving

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
BODY = {
    "model": "gpt-5.4",
    "input": "What is six times seven?",
    "instructions": "Think.",
    "background": True,
    "stream": True,
    "store": False,
    "max_output_tokens": 2048,
    "reasoning": {"effort": "high"},
    "prompt_cache_key": "k",
}
ANSWER = "It is forty-two, by counting.\nANSWER: 42"


@pytest.fixture
def standin() -> Iterator[StandIn]:
    rules = [Rule(contains=f"please {fault}", answer=ANSWER, fault=fault) for fault in FAULTS]
    with serving([*rules, Rule(contains="six times seven", answer=ANSWER)], key="sk-good") as running:
        yield running


def call(method: str, url: str, body: dict[str, Any] | None = None, key: str = "sk-good") -> tuple[int, bytes]:
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def asking(fault: str) -> dict[str, Any]:
    return {**BODY, "input": f"please {fault}"}


def read_events(content: bytes) -> list[Any]:
    """Validated, not merely constructed, as the SDK does; and named twice alike, as server-sent events are."""
    events = []
    for block in content.decode().strip().split("\n\n"):
        name, data = block.split("\n", 1)
        event = EVENT.validate_json(data.removeprefix("data: "))
        assert name == f"event: {event.type}"
        assert_nothing_more(event)
        events.append(event)
    assert [event.sequence_number for event in events] == list(
        range(events[0].sequence_number, events[0].sequence_number + len(events))
    )
    return events


def read_response(content: bytes) -> Response:
    response = Response.model_validate_json(content)
    assert_nothing_more(response)
    return response


def assert_nothing_more(value: object) -> None:
    """No field that the SDK's type doesn't have, at any depth."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, (type(value), value.model_extra)
        for name in type(value).model_fields:
            assert_nothing_more(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            assert_nothing_more(item)


def test_a_stream_has_the_sdks_events_and_ends_with_text_and_usage(standin: StandIn) -> None:
    status, content = call("POST", f"{standin.url}/responses", BODY)
    events = read_events(content)
    assert status == 200
    assert [event.type for event in events][:3] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
    ]
    assert events[0].response.status == "queued"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == ANSWER
    last = events[-1].response
    assert (events[-1].type, last.status, last.output_text) == ("response.completed", "completed", ANSWER)
    assert last.usage.total_tokens == last.usage.input_tokens + last.usage.output_tokens
    assert standin.posts == 1
    assert standin.bodies == [BODY]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("failed", "failed"),
        ("unrun", "failed"),
        ("unrun_counted", "failed"),
        ("unrun_quota", "failed"),
        ("incomplete", "incomplete"),
        ("incomplete_thoughts", "incomplete"),
        ("answer_filter", "incomplete"),
    ],
)
def test_a_response_that_fails_says_so_in_its_last_event_and_when_it_is_fetched(
    standin: StandIn, fault: str, status: str
) -> None:
    events = read_events(call("POST", f"{standin.url}/responses", asking(fault))[1])
    assert (events[-1].type, events[-1].response.status) == (f"response.{status}", status)
    fetched = read_response(call("GET", f"{standin.url}/responses/{events[0].response.id}")[1])
    assert fetched.status == status
    assert (fetched.error is not None) == (status == "failed")
    assert (fetched.incomplete_details is not None) == (status == "incomplete")


def test_a_dropped_response_goes_on_and_its_events_can_be_read_from_any_number(standin: StandIn) -> None:
    events = read_events(call("POST", f"{standin.url}/responses", asking("drop_after_created"))[1])
    assert [event.type for event in events] == ["response.created"]
    address = f"{standin.url}/responses/{events[0].response.id}"
    rest = read_events(call("GET", f"{address}?stream=true&starting_after=0")[1])
    assert (rest[0].sequence_number, rest[-1].type) == (1, "response.completed")
    assert read_response(call("GET", address)[1]).output_text == ANSWER
    assert call("GET", f"{address}?starting_after=3")[0] == 400
    assert standin.posts == 1


def test_a_cancel_stops_a_running_response_and_leaves_a_finished_one_alone(standin: StandIn) -> None:
    body = {**asking("endless"), "stream": False}
    begun = read_response(call("POST", f"{standin.url}/responses", body)[1])
    assert read_response(call("POST", f"{standin.url}/responses/{begun.id}/cancel")[1]).status == "cancelled"
    assert read_response(call("GET", f"{standin.url}/responses/{begun.id}")[1]).status == "cancelled"
    done = read_events(call("POST", f"{standin.url}/responses", BODY)[1])[-1].response
    assert read_response(call("POST", f"{standin.url}/responses/{done.id}/cancel")[1]).status == "completed"
    assert (standin.posts, standin.cancels) == (2, 2)


def test_a_refusal_is_a_completed_response_without_a_text(standin: StandIn) -> None:
    last = read_events(call("POST", f"{standin.url}/responses", asking("refused"))[1])[-1].response
    assert (last.status, last.output_text) == ("completed", "")
    assert last.output[-1].content[0].type == "refusal"


def test_a_response_that_was_withdrawn_is_cancelled(standin: StandIn) -> None:
    events = read_events(call("POST", f"{standin.url}/responses", asking("withdrawn"))[1])
    assert read_response(call("GET", f"{standin.url}/responses/{events[0].response.id}")[1]).status == "cancelled"


def test_an_error_may_come_before_any_response(standin: StandIn) -> None:
    (event,) = read_events(call("POST", f"{standin.url}/responses", asking("error_event"))[1])
    assert (event.type, event.code, standin.accepted) == ("error", "rate_limit_exceeded", 0)


def test_a_fault_that_a_job_meets_once_is_over_at_its_next_request() -> None:
    with serving([Rule(answer=ANSWER, fault="rate_limit", times=1, retry_after="3")]) as busy:
        for key, status in (("a", 429), ("b", 429), ("a", 200), ("b", 200)):
            assert call("POST", f"{busy.url}/responses", {**BODY, "prompt_cache_key": key})[0] == status
        assert (busy.posts, busy.accepted) == (4, 2)


@pytest.mark.parametrize("fault", ["bad_gateway", "proxy"])
def test_a_proxy_answers_with_a_page(standin: StandIn, fault: str) -> None:
    status, content = call("POST", f"{standin.url}/responses", asking(fault))
    assert status >= 502
    assert content.startswith(b"<html>")


@pytest.mark.parametrize(("fault", "status"), [(f, r[0]) for f, r in responses.REFUSALS.items() if r[1]])
def test_errors_have_the_apis_form(standin: StandIn, fault: str, status: int) -> None:
    answered, content = call("POST", f"{standin.url}/responses", asking(fault))
    assert answered == status
    assert set(json.loads(content)["error"]) == {"message", "type", "param", "code"}
    assert standin.posts == 1


def test_a_bad_key_an_unknown_field_and_an_unknown_response_are_refused(standin: StandIn) -> None:
    assert call("POST", f"{standin.url}/responses", BODY, key="sk-bad")[0] == 401
    assert call("POST", f"{standin.url}/responses", {**BODY, "max_tokens": 5})[0] == 400
    assert call("GET", f"{standin.url}/responses/resp_none")[0] == 404


def test_a_longer_prompt_of_the_same_key_is_cached_up_to_where_they_part(standin: StandIn) -> None:
    long = "six times seven " + "and so on " * 600
    usages = []
    for tail in ("one", "two"):
        body = {**BODY, "input": long + tail}
        usages.append(read_events(call("POST", f"{standin.url}/responses", body)[1])[-1].response.usage)
    assert usages[0].input_tokens_details.cached_tokens == 0
    assert usages[1].input_tokens_details.cached_tokens >= 1024
    assert usages[1].input_tokens_details.cached_tokens <= usages[1].input_tokens


def test_it_runs_as_a_script_and_counts(tmp_path: Path) -> None:
    rules = tmp_path / "answers.json"
    rules.write_text(json.dumps([{"contains": "six", "answer": ANSWER}]))
    script = [sys.executable, str(responses.__file__), "--port", "0", "--answers", str(rules)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            assert read_events(call("POST", f"{url}/responses", BODY)[1])[-1].response.output_text == ANSWER
            assert json.loads(call("GET", url.removesuffix("/v1") + "/count")[1])["posts"] == 1
        finally:
            process.terminate()


def test_a_slow_answer_comes_in_pieces() -> None:
    with serving([Rule(answer=ANSWER, delay_seconds=0.05)]) as slow:
        body = {**BODY, "stream": False}
        response = read_response(call("POST", f"{slow.url}/responses", body)[1])
        assert response.status == "queued"
        while read_response(call("GET", f"{slow.url}/responses/{response.id}")[1]).status != "completed":
            time.sleep(0.02)
