"""What an HTTP error says of a request: taken or not, when to come back, and how its provider is."""

from __future__ import annotations

import pytest

from tasks.llm.refusals import error_codes, refusal, retry_after, unrun
from tasks.types import CloudEnd, Health

SAID = {"message": "no", "type": "t", "code": None}


@pytest.mark.parametrize(
    ("status", "body", "end", "health"),
    [
        (400, SAID, CloudEnd.REJECTED, Health.WELL),
        (400, {"code": "content_filter"}, CloudEnd.FAILED, Health.WELL),
        (401, SAID, CloudEnd.REJECTED, Health.UNUSABLE),
        (402, SAID, CloudEnd.REJECTED, Health.UNUSABLE),
        (403, SAID, CloudEnd.REJECTED, Health.FAULT),
        (404, {"code": "model_not_found"}, CloudEnd.RETIRED, Health.WELL),
        (408, SAID, CloudEnd.LOST, Health.FAULT),
        (429, SAID, CloudEnd.BUSY, Health.FAULT),
        (429, None, CloudEnd.BUSY, Health.FAULT),
        (429, {"code": "insufficient_quota"}, CloudEnd.REJECTED, Health.UNUSABLE),
        (429, {"type": "insufficient_quota"}, CloudEnd.REJECTED, Health.UNUSABLE),
        (500, SAID, CloudEnd.LOST, Health.FAULT),
        (502, SAID, CloudEnd.LOST, Health.FAULT),
        (503, SAID, CloudEnd.BUSY, Health.FAULT),
        (503, {"message": "overloaded"}, CloudEnd.BUSY, Health.FAULT),
        (503, "<html>upstream reset</html>", CloudEnd.LOST, Health.FAULT),
        (503, {}, CloudEnd.LOST, Health.FAULT),
        (504, SAID, CloudEnd.LOST, Health.FAULT),
        (529, SAID, CloudEnd.BUSY, Health.FAULT),
    ],
)
def test_a_status_and_its_error_object_say_what_became_of_a_request(
    status: int, body: object, end: CloudEnd, health: Health
) -> None:
    refused = refusal(status, body, {"retry-after": "3"})
    assert (refused.end, refused.health) == (end, health)
    assert refused.retry_seconds == (3 if end is CloudEnd.BUSY else None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:27:15 GMT"}, 45.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:29:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 -0000", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_a_provider_names_seconds_or_a_date_by_its_own_clock(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_without_the_servers_own_is_compared_with_ours() -> None:
    seconds = retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"})
    assert seconds is not None
    assert seconds > 3600


@pytest.mark.parametrize(
    ("codes", "end"),
    [
        ({"rate_limit_exceeded"}, CloudEnd.BUSY),
        ({"server_is_overloaded", "error"}, CloudEnd.BUSY),
        ({"insufficient_quota"}, CloudEnd.REJECTED),
        ({"server_error"}, None),
        (set(), None),
    ],
)
def test_only_some_codes_say_that_the_model_was_not_run(codes: set[str], end: CloudEnd | None) -> None:
    said = unrun(frozenset(codes))
    assert (said and said.end) == end


@pytest.mark.parametrize("body", [None, "text", [], {"error": "text"}, {"error": None}, {"error": {"code": None}}, 3])
def test_a_body_without_an_error_object_has_no_codes(body: object) -> None:
    assert error_codes(body) == frozenset()


def test_the_codes_of_an_error_are_those_of_the_object_or_of_what_holds_it() -> None:
    assert error_codes({"code": "a", "type": "b"}) == {"a", "b"}
    assert error_codes({"error": {"code": "a"}, "type": "not this"}) == {"a"}
