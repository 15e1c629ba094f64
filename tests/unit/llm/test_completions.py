"""A stronger model behind a chat endpoint: one POST, its stream, and what is made of its ends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasks.errors import Cancelled, CloudUnreached, EgressForbidden, ShuttingDown
from tasks.llm.completions import NOT_KEPT, ChatCompletions
from tasks.llm.responsebody import CloudTerms, chat_json
from tasks.types import CloudAnswer, CloudEnd, Egress, EscalationKind, Usage
from tests.standin import serve
from tests.unit.llm.conftest import CountingHeartbeat
from workers.home import free_port

KEY = "sk-of-the-endpoint"
REQUEST = chat_json(CloudTerms(model="big", effort="high", output_tokens=900), "Think.", "What is it?", "k")
Act = Callable[[serve.Handler], None]


@contextlib.contextmanager
def endpoint(act: Act) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat endpoint that does this when it is asked; yields its address and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(serve.Handler):
        def do_GET(self) -> None:
            self.send({"data": [{"id": "big"}]})

        def do_POST(self) -> None:
            asked.append(self.asked())
            with contextlib.suppress(OSError):
                act(self)

    with serve.serving(Handler) as root:
        yield f"{root}/v1", asked


def client(url: str, **changed: Any) -> ChatCompletions:
    given = {"base_url": url, "api_key": KEY, "first_event_seconds": 20.0, "answer_seconds": 60.0}
    return ChatCompletions(**{**given, **changed})


def start(act: Act, **changed: Any) -> tuple[CloudAnswer, list[str]]:
    ids: list[str] = []
    with endpoint(act) as (url, asked):
        answer = client(url, **changed).start(REQUEST, Egress.FULL, ids.append, CountingHeartbeat())
        assert len(asked) == 1
    return answer, ids


def whole(handler: serve.Handler) -> None:
    handler.begin()
    handler.word("Sort ")
    handler.word("first.")
    handler.word(finish="stop")
    handler.end(40, 8)


def test_one_request_brings_the_answer_and_its_usage() -> None:
    answer, ids = start(whole)
    assert (answer.end, answer.text, answer.model) == (CloudEnd.COMPLETED, "Sort first.", "big")
    assert answer.usage == Usage(prompt_tokens=40, cached_tokens=0, completion_tokens=8)
    assert len(ids) == 1


def test_what_is_sent_is_the_request_and_nothing_else() -> None:
    with endpoint(whole) as (url, asked):
        client(url).start(REQUEST, Egress.HINT, lambda _: None, CountingHeartbeat(), EscalationKind.HINT)
    assert asked == [json.loads(REQUEST)]
    assert [message["role"] for message in asked[0]["messages"]] == ["system", "user"]
    assert asked[0]["max_tokens"] == 900


def test_ids_differ_whatever_the_server_calls_its_answers() -> None:
    assert start(whole)[1] != start(whole)[1]


@pytest.mark.parametrize("kind", EscalationKind)
@pytest.mark.parametrize("egress", Egress)
def test_egress_that_does_not_allow_it_opens_no_socket(kind: EscalationKind, egress: Egress) -> None:
    with endpoint(whole) as (url, asked):
        if egress.allows(kind):
            assert client(url).start(REQUEST, egress, lambda _: None, CountingHeartbeat(), kind).text
        else:
            with pytest.raises(EgressForbidden):
                client(url).start(REQUEST, egress, lambda _: None, CountingHeartbeat(), kind)
        assert len(asked) == int(egress.allows(kind))


def broken(handler: serve.Handler) -> None:
    handler.begin()
    handler.word("Sort ")


def short(handler: serve.Handler) -> None:
    handler.begin()
    handler.word("Sort ")
    handler.word(finish="length")
    handler.end(40, 900)


def uncounted(handler: serve.Handler) -> None:
    handler.begin()
    handler.word("Sort first.")
    handler.word(finish="stop")
    handler.end()


def refused(handler: serve.Handler) -> None:
    handler.send({"error": {"message": "no such parameter", "type": "invalid_request_error"}}, status=400)


def gone(handler: serve.Handler) -> None:
    handler.send({"error": {"message": "The model `big` does not exist", "code": "model_not_found"}}, status=404)


def failing(handler: serve.Handler) -> None:
    handler.begin()
    handler.word("Sort ")
    handler.event({"error": {"message": f"out of memory at {KEY}"}})


def empty(handler: serve.Handler) -> None:
    handler.begin()
    handler.word(finish="stop")
    handler.end(40, 0)


def filtered(handler: serve.Handler) -> None:
    handler.begin()
    handler.word("Sort ")
    handler.word(finish="content_filter")
    handler.end(40, 2)


def limited(handler: serve.Handler) -> None:
    handler.begin()
    handler.event({"error": {"message": f"slow down, {KEY}", "code": "rate_limit_exceeded"}})


def failing_at_once(handler: serve.Handler) -> None:
    handler.begin()
    handler.event({"error": {"message": f"out of memory at {KEY}"}})


@pytest.mark.parametrize(
    ("act", "end", "identified", "used"),
    [
        (filtered, CloudEnd.FAILED, True, True),
        (limited, CloudEnd.BUSY, False, False),
        (failing_at_once, CloudEnd.LOST, False, False),
        (broken, CloudEnd.LOST, True, False),
        (short, CloudEnd.INCOMPLETE, True, True),
        (uncounted, CloudEnd.COMPLETED, True, False),
        (refused, CloudEnd.REJECTED, False, False),
        (gone, CloudEnd.RETIRED, False, False),
        (failing, CloudEnd.FAILED, True, False),
        (empty, CloudEnd.FAILED, True, True),
    ],
)
def test_each_end_is_what_it_is(act: Act, end: CloudEnd, identified: bool, used: bool) -> None:
    answer, ids = start(act)
    assert answer.end is end
    assert (len(ids) == 1, answer.usage is not None) == (identified, used)
    assert bool(answer.error) is (end is not CloudEnd.COMPLETED)
    assert KEY not in answer.error


def test_an_endpoint_that_is_not_there_is_unreached() -> None:
    with pytest.raises(CloudUnreached):
        client(f"http://127.0.0.1:{free_port()}/v1").start(REQUEST, Egress.FULL, lambda _: None, CountingHeartbeat())


def test_a_silent_endpoint_is_given_up() -> None:
    def silent(handler: serve.Handler) -> None:
        handler.begin()
        handler.rfile.read(1)

    answer, ids = start(silent, first_event_seconds=0.5)
    assert (answer.end, ids) == (CloudEnd.LOST, [])


@pytest.mark.parametrize("stop", [Cancelled("now"), ShuttingDown("now")])
def test_a_turn_that_ends_hangs_up(stop: Exception) -> None:
    ids: list[str] = []

    def endless(handler: serve.Handler) -> None:
        handler.begin()
        for _ in range(2_000):
            handler.word("and so on ")

    with endpoint(endless) as (url, _), pytest.raises(type(stop)):
        client(url).start(REQUEST, Egress.FULL, ids.append, CountingHeartbeat(stop, lambda: bool(ids)))


def test_nothing_can_be_fetched_again() -> None:
    lost = client("http://127.0.0.1:9/v1").attach("chat_1", CountingHeartbeat())
    assert (lost.end, lost.error) == (CloudEnd.LOST, NOT_KEPT)
    assert client("http://127.0.0.1:9/v1").cancel("chat_1").end is CloudEnd.CANCELLED
