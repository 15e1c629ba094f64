"""The bodies of the Responses API: what a request holds, and how answers and errors are read. No sockets."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from tasks.llm.responsebody import (
    MESSAGE_CHARS,
    NO_USAGE,
    CloudTerms,
    describe_error,
    ended,
    error_message,
    request_json,
)
from tasks.types import CloudAnswer, CloudEnd, Usage

TERMS = CloudTerms(model="gpt-5.4", effort="high", output_tokens=4096)
REQUEST = httpx2.Request("POST", "https://cloud.example/v1/responses")
OUTPUT = [
    {"type": "reasoning", "content": [{"type": "output_text", "text": "a thought"}]},
    {"type": "message", "content": [{"type": "output_text", "text": "It is "}, {"type": "refusal", "refusal": "no"}]},
    {"type": "message", "content": [{"type": "output_text", "text": "42"}, {"type": "output_text"}]},
    {"type": "message"},
]
USAGE = {"input_tokens": 30, "input_tokens_details": {"cached_tokens": 10}, "output_tokens": 7}


def answer_of(**response: Any) -> CloudAnswer:
    """The answer of a response that has ended."""
    answer = ended({"status": "completed", **response}, 2.5)
    assert answer is not None
    return answer


def test_a_request_says_all_that_the_cloud_needs_and_no_more() -> None:
    body = request_json(TERMS, instructions="Think.", prompt="What is it?", cache_key="k")
    assert json.loads(body) == {
        "model": "gpt-5.4",
        "instructions": "Think.",
        "input": "What is it?",
        "reasoning": {"effort": "high"},
        "max_output_tokens": 4096,
        "prompt_cache_key": "k",
        "background": True,
        "stream": True,
        "store": False,
        "service_tier": "default",
    }


def test_a_request_is_the_same_text_each_time_and_keeps_letters_of_other_scripts() -> None:
    body = request_json(TERMS, instructions="Denk nach.", prompt="Wie groß?", cache_key="k")
    assert body == json.dumps(json.loads(body), sort_keys=True, ensure_ascii=False)
    assert "Wie groß?" in body


def test_a_deployment_may_have_the_cloud_keep_its_responses() -> None:
    terms = CloudTerms(model="m", effort="low", output_tokens=1, store=True)
    assert json.loads(request_json(terms, instructions="", prompt="", cache_key=""))["store"] is True


def test_a_completed_response_brings_its_text_without_thoughts_and_refusals() -> None:
    assert answer_of(model="gpt-5.4-2026", output=OUTPUT, usage=USAGE) == CloudAnswer(
        end=CloudEnd.COMPLETED,
        model="gpt-5.4-2026",
        text="It is 42",
        usage=Usage(prompt_tokens=30, cached_tokens=10, completion_tokens=7),
        error="",
        seconds=2.5,
    )


def test_what_a_response_leaves_out_is_empty() -> None:
    assert answer_of() == CloudAnswer(end=CloudEnd.COMPLETED, seconds=2.5)
    assert answer_of(output=None, usage=None, model=None).usage is None


def test_usage_without_details_counts_what_is_said() -> None:
    assert answer_of(usage={"output_tokens": 7}).usage == Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=7)
    assert answer_of(usage={"input_tokens": 3}).usage == Usage(prompt_tokens=3, cached_tokens=0, completion_tokens=0)
    no_details = {"input_tokens": 3, "input_tokens_details": {}, "output_tokens": 1}
    assert answer_of(usage=no_details).usage == Usage(prompt_tokens=3, cached_tokens=0, completion_tokens=1)


def test_a_usage_of_nothing_is_believed_of_a_response_that_made_nothing() -> None:
    nothing = {"input_tokens": 0, "output_tokens": 0}
    limited = {"code": "rate_limit_exceeded", "message": "Slow down."}
    assert answer_of(status="failed", error=limited, usage=nothing).end is CloudEnd.BUSY
    failed = answer_of(status="failed", error={"code": "server_error", "message": "It broke."}, usage=nothing)
    assert (failed.end, failed.usage) == (CloudEnd.FAILED, NO_USAGE)
    assert answer_of(output=OUTPUT, usage=nothing).usage is None, "so that the whole reservation is charged"


@pytest.mark.parametrize("status", ["queued", "in_progress", "something new", None])
def test_a_response_that_has_not_ended_is_no_answer_yet(status: str | None) -> None:
    assert ended({"status": status}, 0.0) is None


@pytest.mark.parametrize(
    ("response", "end", "error"),
    [
        ({"status": "failed", "error": {"message": "It\nbroke."}}, CloudEnd.FAILED, "It broke."),
        ({"status": "failed"}, CloudEnd.FAILED, "failed"),
        ({"status": "cancelled"}, CloudEnd.CANCELLED, "cancelled"),
        ({"status": "incomplete"}, CloudEnd.INCOMPLETE, "incomplete: None"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            CloudEnd.INCOMPLETE,
            "incomplete: max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "x"}, "error": {"message": "why"}},
            CloudEnd.INCOMPLETE,
            "why",
        ),
        ({"status": "failed", "incomplete_details": {"reason": "x"}}, CloudEnd.FAILED, "failed"),
    ],
)
def test_a_response_without_success_says_why_in_one_line(response: dict[str, Any], end: CloudEnd, error: str) -> None:
    answer = answer_of(**response)
    assert (answer.end, answer.error) == (end, error)


def test_a_long_error_is_cut() -> None:
    assert answer_of(status="failed", error={"message": "x" * 1000}).error == "x" * MESSAGE_CHARS


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"output": ["text"]}, "'str' object has no attribute 'get'"),
        ({"output": 3}, "'int' object is not iterable"),
        ({"usage": {"input_tokens": "many"}}, "invalid literal for int"),
    ],
)
def test_a_body_that_is_no_response_is_a_failure_that_says_why(body: dict[str, Any], reason: str) -> None:
    answer = answer_of(**body)
    assert answer.end is CloudEnd.FAILED
    assert reason in answer.error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "inside"}, "message": "outside"}, "inside"),
        ({"message": "outside"}, "outside"),
        ({"error": "plain"}, "plain"),
        ({"error": None, "message": "outside"}, ""),
        ({"error": {"code": 3}}, ""),
        ({"error": {"message": None}}, ""),
        ("not a body", ""),
        (None, ""),
    ],
)
def test_the_message_of_an_error_is_found_where_it_stands(body: object, message: str) -> None:
    assert error_message(body) == message


def status_error(body: object) -> openai.APIStatusError:
    return openai.APIStatusError("Too many", response=httpx2.Response(429, request=REQUEST), body=body)


def test_an_http_error_is_described_by_its_status_and_the_message_of_its_body() -> None:
    assert describe_error(status_error({"error": {"message": "Slow down."}})) == "the cloud answered 429: Slow down."
    assert describe_error(status_error(None)) == "the cloud answered 429: Too many"


def test_a_lost_connection_is_described_by_its_cause() -> None:
    error = openai.APIConnectionError(message="Connection error.", request=REQUEST)
    assert "can't be reached (Connection error.: no more is known)" in describe_error(error)
    error.__cause__ = OSError("no route")
    assert "can't be reached (Connection error.: no route)" in describe_error(error)


def test_any_other_error_is_described_by_its_type() -> None:
    assert describe_error(TimeoutError("too late")) == "the request broke off (TimeoutError: too late)"
