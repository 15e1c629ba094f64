"""The cloud's client against the stand-in, over real sockets on loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.errors import Cancelled, CloudFault, CloudUnreached, EgressForbidden, LeaseLost, ShuttingDown
from tasks.llm.responsebody import CloudTerms, ended, request_json
from tasks.llm.responses import OpenAIResponses
from tasks.types import CloudAnswer, CloudEnd, Egress, Health, Usage
from tests.standin.responses import FAULTS, Rule, StandIn, serving
from tests.unit.llm.conftest import CountingHeartbeat
from workers.home import free_port

KEY = "sk-very-secret"
ANSWER = "It is forty-two.\nANSWER: 42"
TERMS = CloudTerms(model="gpt-5.4", effort="high", output_tokens=4096)


@pytest.fixture
def standin() -> Iterator[StandIn]:
    rules = [Rule(contains=f"please {fault}", answer=ANSWER, fault=fault) for fault in FAULTS]
    with serving([*rules, Rule(answer=ANSWER)], key=KEY) as running:
        yield running


def client(url: str, **changed: Any) -> OpenAIResponses:
    arguments = {"base_url": url, "api_key": KEY, "first_event_seconds": 20.0, "answer_seconds": 60.0}
    return OpenAIResponses(**{**arguments, **changed})


def asking(prompt: str = "What is six times seven?") -> str:
    return request_json(TERMS, instructions="Think.", prompt=prompt, cache_key="k")


def start(standin: StandIn, prompt: str = "?", **changed: Any) -> tuple[CloudAnswer, list[str]]:
    ids: list[str] = []
    answer = client(standin.url, **changed).start(asking(prompt), Egress.FULL, ids.append, CountingHeartbeat())
    return answer, ids


def test_one_request_brings_the_answer_and_its_usage(standin: StandIn) -> None:
    answer, ids = start(standin)
    assert (answer.end, answer.text, answer.model) == (CloudEnd.COMPLETED, ANSWER, "gpt-5.4")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 64
    assert (standin.posts, standin.gets) == (1, 0)
    assert ids == list(standin.made)


def test_what_is_sent_is_the_request_and_nothing_else(standin: StandIn) -> None:
    start(standin, "the question")
    (body,) = standin.bodies
    assert body == json.loads(asking("the question"))
    assert body == {
        "model": "gpt-5.4",
        "instructions": "Think.",
        "input": "the question",
        "reasoning": {"effort": "high"},
        "max_output_tokens": 4096,
        "prompt_cache_key": "k",
        "background": True,
        "stream": True,
        "store": False,
        "service_tier": "default",
    }


def test_the_id_is_handed_on_before_anything_else_is_read(standin: StandIn) -> None:
    class Stop(BaseException):
        """Stands for kill -9 at that very moment."""

    def die(_: str) -> None:
        raise Stop

    heartbeat = CountingHeartbeat()
    with pytest.raises(Stop):
        client(standin.url).start(asking(), Egress.FULL, die, heartbeat)
    assert heartbeat.tokens == 0
    assert standin.posts == 1


@pytest.mark.parametrize("egress", [Egress.NEVER, Egress.HINT])
def test_egress_that_is_not_full_opens_no_socket(standin: StandIn, egress: Egress) -> None:
    with pytest.raises(EgressForbidden, match=f"egress: {egress}"):
        client(standin.url).start(asking(), egress, lambda _: None, CountingHeartbeat())
    assert (standin.connections, standin.posts) == (0, 0)


@pytest.mark.parametrize("egress", [Egress.NEVER, Egress.HINT])
def test_no_connection_of_any_kind_is_tried_for_what_must_stay(monkeypatch: pytest.MonkeyPatch, egress: Egress) -> None:
    """All traffic of the process is captured where it would begin: at the look-up of a name and at the connection."""
    tried: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: tried.append(address))
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: tried.append(address))
    for base in ("", "http://127.0.0.1:9/v1", "https://cloud.example/v1"):
        with pytest.raises(EgressForbidden):
            client(base).start(asking(), egress, lambda _: None, CountingHeartbeat())
    assert tried == []


@pytest.mark.parametrize(
    ("fault", "said", "health"),
    [
        ("unauthorized", "401", Health.UNUSABLE),
        ("quota", "quota", Health.UNUSABLE),
        ("forbidden", "403", Health.FAULT),
        ("parameter", "400", Health.WELL),
    ],
)
def test_a_request_that_will_never_be_taken_is_rejected(
    standin: StandIn, fault: str, said: str, health: Health
) -> None:
    answer, ids = start(standin, f"please {fault}")
    assert (answer.end, answer.health, ids, standin.posts) == (CloudEnd.REJECTED, health, [], 1)
    assert said in answer.error


@pytest.mark.parametrize("fault", ["rate_limit", "overloaded", "error_event", "unrun"])
def test_a_request_that_was_not_taken_this_time_is_busy_and_sent_once(standin: StandIn, fault: str) -> None:
    answer, ids = start(standin, f"please {fault}")
    assert (answer.end, answer.health, answer.usage, standin.posts) == (CloudEnd.BUSY, Health.FAULT, None, 1)
    assert len(ids) == (fault == "unrun")


def test_a_busy_provider_says_when_to_come_back() -> None:
    with serving([Rule(fault="rate_limit", retry_after="7")]) as busy:
        assert start(busy)[0].retry_seconds == 7


def test_a_prompt_that_a_filter_refused_may_be_billed(standin: StandIn) -> None:
    answer, _ = start(standin, "please prompt_filter")
    assert (answer.end, answer.usage, answer.health) == (CloudEnd.FAILED, None, Health.WELL)


def test_a_refusal_is_told_in_its_own_words(standin: StandIn) -> None:
    answer, _ = start(standin, "please refused")
    assert (answer.end, answer.text, answer.error) == (
        CloudEnd.COMPLETED,
        "",
        "the model refused: I can't help with that.",
    )


def test_a_provider_is_known_by_its_host_and_port_without_a_login() -> None:
    assert client("http://user:word@cloud.example:8080/v1").provider == "cloud.example:8080"
    assert client("").provider == "api.openai.com"


def test_the_key_is_in_no_message(standin: StandIn) -> None:
    standin.key = "another"  # the stand-in's refusal repeats the key it was given, as OpenAI's does
    answer, _ = start(standin)
    assert answer.end is CloudEnd.REJECTED
    assert "Incorrect API key" in answer.error
    assert KEY not in answer.error


@pytest.mark.parametrize("fault", ["server_error", "bad_gateway", "proxy", "timed_out", "drop_before_created"])
def test_a_request_that_may_have_been_taken_is_lost_and_not_tried_again(standin: StandIn, fault: str) -> None:
    answer, ids = start(standin, f"please {fault}")
    assert (answer.end, answer.usage, ids, standin.posts) == (CloudEnd.LOST, None, [], 1)
    assert answer.health is Health.FAULT


def test_a_cloud_that_never_says_a_word_loses_the_request(standin: StandIn) -> None:
    answer, ids = start(standin, "please hang", first_event_seconds=0.3)
    assert (answer.end, ids, standin.posts) == (CloudEnd.LOST, [], 1)
    assert "within 0.3 s" in answer.error


def test_a_cloud_that_cannot_be_reached_has_been_sent_nothing() -> None:
    with pytest.raises(CloudUnreached, match="can't be reached"):
        client(f"http://127.0.0.1:{free_port()}/v1").start(asking(), Egress.FULL, lambda _: None, CountingHeartbeat())


def test_a_stream_that_breaks_after_the_id_is_followed_by_polling(standin: StandIn) -> None:
    answer, ids = start(standin, "please drop_after_created")
    assert (answer.end, answer.text) == (CloudEnd.COMPLETED, ANSWER)
    assert (standin.posts, len(ids)) == (1, 1)
    assert standin.gets >= 1


@pytest.mark.parametrize(
    ("fault", "end", "error", "health"),
    [
        ("failed", CloudEnd.FAILED, "The model failed to answer.", Health.FAULT),
        ("incomplete", CloudEnd.INCOMPLETE, "incomplete: max_output_tokens", Health.WELL),
        ("answer_filter", CloudEnd.INCOMPLETE, "incomplete: content_filter", Health.WELL),
        ("withdrawn", CloudEnd.CANCELLED, "cancelled", Health.WELL),
    ],
)
def test_a_response_that_ends_without_an_answer_says_why(
    standin: StandIn, fault: str, end: CloudEnd, error: str, health: Health
) -> None:
    answer, _ = start(standin, f"please {fault}")
    assert (answer.end, answer.error, answer.health) == (end, error, health)
    assert (answer.usage is None) == (end is not CloudEnd.INCOMPLETE)


def test_a_response_can_be_attached_to_by_its_id_without_another_request(standin: StandIn) -> None:
    _, (response_id,) = start(standin)
    answer = client(standin.url).attach(response_id, CountingHeartbeat())
    assert (answer.end, answer.text, standin.posts) == (CloudEnd.COMPLETED, ANSWER, 1)


def test_a_response_that_the_cloud_has_forgotten_is_lost(standin: StandIn) -> None:
    answer, ids = start(standin, "please forgotten")
    assert (answer.end, len(ids), standin.posts) == (CloudEnd.LOST, 1, 1)
    assert "404" in answer.error


def test_a_cloud_that_is_away_while_an_answer_is_fetched_is_a_fault_for_a_later_turn(standin: StandIn) -> None:
    _, (response_id,) = start(standin)
    with pytest.raises(CloudFault, match=response_id) as caught:
        client(f"http://127.0.0.1:{free_port()}/v1", pauses=(0.01,)).attach(response_id, CountingHeartbeat())
    assert not isinstance(caught.value, CloudUnreached)


def test_a_response_that_takes_too_long_is_cancelled(standin: StandIn) -> None:
    answer, _ = start(standin, "please endless", answer_seconds=0.5)
    assert (answer.end, standin.posts, standin.cancels) == (CloudEnd.CANCELLED, 1, 1)
    assert "0.5 s" in answer.error


def test_a_cancel_stops_the_response_and_tells_what_is_known(standin: StandIn) -> None:
    ids: list[str] = []
    heartbeat = CountingHeartbeat(Cancelled("by its owner"), lambda: bool(ids))
    with pytest.raises(Cancelled):
        client(standin.url).start(asking("please endless"), Egress.FULL, ids.append, heartbeat)
    assert standin.cancels == 0
    answer = client(standin.url).cancel(ids[0])
    assert (answer.end, answer.usage, standin.cancels) == (CloudEnd.CANCELLED, None, 1)


def test_a_cancel_of_a_finished_response_brings_its_answer(standin: StandIn) -> None:
    _, (response_id,) = start(standin)
    answer = client(standin.url).cancel(response_id)
    assert (answer.end, answer.text) == (CloudEnd.COMPLETED, ANSWER)


def test_a_cancel_that_nobody_confirms_is_over_all_the_same() -> None:
    answer = client(f"http://127.0.0.1:{free_port()}/v1").cancel("resp_1")
    assert answer.end is CloudEnd.CANCELLED
    assert "not confirmed" in answer.error


@pytest.mark.parametrize("before_id", [True, False])
def test_a_blocked_read_hears_a_cancel(standin: StandIn, before_id: bool) -> None:
    """Neither a cloud that is silent before its first event nor one that thinks holds the turn."""
    cancelled = threading.Event()
    threading.Timer(0.4, cancelled.set).start()
    prompt = "please hang" if before_id else "please endless"
    with pytest.raises(Cancelled):
        client(standin.url).start(
            asking(prompt), Egress.FULL, lambda _: None, CountingHeartbeat(Cancelled("now"), cancelled.is_set)
        )
    assert standin.posts == 1


@pytest.mark.parametrize("ended", [ShuttingDown("drained"), LeaseLost("stale")])
def test_a_turn_that_ends_while_it_connects_has_sent_nothing(ended: Exception) -> None:
    checks = iter([False])
    stopping = CountingHeartbeat(ended, lambda: next(checks, True))
    with never_accepting() as url, pytest.raises(CloudUnreached, match="before anything was sent"):
        client(url).start(asking(), Egress.FULL, lambda _: None, stopping)


def test_a_cancel_while_it_connects_stays_a_cancel() -> None:
    checks = iter([False])
    stopping = CountingHeartbeat(Cancelled("by its owner"), lambda: next(checks, True))
    with never_accepting() as url, pytest.raises(Cancelled):
        client(url).start(asking(), Egress.FULL, lambda _: None, stopping)


def test_a_turn_that_ends_after_the_request_left_says_nothing_of_the_kind(standin: StandIn) -> None:
    with pytest.raises(ShuttingDown):
        client(standin.url).start(
            asking("please hang"),
            Egress.FULL,
            lambda _: None,
            CountingHeartbeat(ShuttingDown("drained"), lambda: standin.posts == 1),
        )
    assert standin.posts == 1


@contextlib.contextmanager
def never_accepting() -> Iterator[str]:
    """A listener whose queue is full: whoever connects waits in vain."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_usage_is_read_with_what_was_cached(standin: StandIn) -> None:
    long = "and so on " * 800
    first, _ = start(standin, long + "one")
    second, _ = start(standin, long + "two")
    assert isinstance(first.usage, Usage)
    assert isinstance(second.usage, Usage)
    assert first.usage.cached_tokens == 0
    assert 0 < second.usage.cached_tokens <= second.usage.prompt_tokens


@pytest.mark.parametrize(
    "body",
    [
        {"status": "completed", "output": ["text"]},
        {"status": "completed", "output": [{"type": "message", "content": [3]}]},
        {"status": "completed", "usage": {"input_tokens": "many"}},
    ],
)
def test_a_body_that_is_no_response_is_no_answer(body: dict[str, Any]) -> None:
    answer = ended(body, 0.0)
    assert answer is not None
    assert answer.end is CloudEnd.FAILED


@pytest.mark.parametrize("status", ["queued", "in_progress", "something new"])
def test_a_response_that_is_not_over_is_waited_for(status: str) -> None:
    assert ended({"status": status}, 0.0) is None


def test_a_model_that_is_retired_is_told_from_any_other_refusal(standin: StandIn) -> None:
    standin.retired = frozenset({"gpt-5.4"})
    answer, ids = start(standin)
    assert (answer.end, answer.usage, ids) == (CloudEnd.RETIRED, None, [])
    assert "does not exist" in answer.error


def test_the_models_that_are_served_are_listed(standin: StandIn) -> None:
    standin.models = ("gpt-5.4", "gpt-5.4-mini")
    assert client(standin.url).models(CountingHeartbeat()) == {"gpt-5.4", "gpt-5.4-mini"}
    assert client(standin.url, api_key="wrong").models(CountingHeartbeat()) is None
    assert client(f"http://127.0.0.1:{free_port()}/v1").models(CountingHeartbeat()) is None
    assert standin.posts == 0
