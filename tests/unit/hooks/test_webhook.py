"""A signed POST: what a receiver gets, and what is made of its answer."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError

from tasks.errors import NotDelivered
from tests.receiver import SECRET, TOKEN, Receiver, receiving
from workers.home import free_port
from workers.hooks.webhook import Webhook

BODY = '{"id": "evt_1", "title": "Überschlag – 1"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def hook(receiver: Receiver, *secrets: str, seconds: float = 5.0) -> Webhook:
    return Webhook("ops", receiver.url, secrets or (SECRET,), seconds=seconds)


def test_the_libraries_of_standard_webhooks_verify_it(receiver: Receiver) -> None:
    receiver.text = "thank\nyou"
    assert hook(receiver).send("evt_1", BODY) == "200 OK thank you"
    (request,) = receiver.requests
    assert request.body == BODY.encode()
    assert request.headers["webhook-id"] == "evt_1"
    assert request.headers["content-type"] == "application/json"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    assert Standard(SECRET).verify(request.body, dict(request.headers))["id"] == "evt_1"
    with pytest.raises(WebhookVerificationError):
        Standard(SECRET).verify(request.body + b" ", dict(request.headers))


def test_two_secrets_both_sign_while_one_takes_the_others_place(receiver: Receiver) -> None:
    other = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    hook(receiver, other, SECRET).send("evt_1", BODY)
    (request,) = receiver.requests
    for secret in (SECRET, other):
        assert Standard(secret).verify(request.body, dict(request.headers))
    third = Standard(os.urandom(32))
    with pytest.raises(WebhookVerificationError):
        third.verify(request.body, dict(request.headers))


@pytest.mark.parametrize("status", [199 + 1, 201, 204, 299])
def test_every_2xx_is_a_success(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    assert hook(receiver).send("evt_1", BODY).startswith(str(status))


@pytest.mark.parametrize(
    ("status", "said"), [(500, "500 Internal Server Error"), (401, "401 Unauthorized"), (499, "499")]
)
def test_another_answer_is_a_failure_that_is_tried_again(receiver: Receiver, status: int, said: str) -> None:
    receiver.statuses, receiver.text = [status], "what the receiver wrote"
    with pytest.raises(NotDelivered) as caught:
        hook(receiver).send("evt_1", BODY)
    assert (str(caught.value), caught.value.seconds, caught.value.final) == (said, 0.0, False)


def test_gone_is_final(receiver: Receiver) -> None:
    receiver.statuses = [410]
    with pytest.raises(NotDelivered, match="410 Gone") as caught:
        hook(receiver).send("evt_1", BODY)
    assert caught.value.final


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("120", 120, 120),
        ("999999999", 86400, 86400),
        (timedelta(hours=1), 3500, 3600),
        (timedelta(hours=-1), 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("²", 0, 0),
    ],
)
def test_retry_after_is_heeded(receiver: Receiver, value: str | timedelta, least: float, most: float) -> None:
    """A time from now is written as its date."""
    if isinstance(value, timedelta):
        value = format_datetime(datetime.now(UTC) + value, usegmt=True)
    receiver.statuses, receiver.headers = [429], {"Retry-After": value.encode("latin-1", "replace").decode("latin-1")}
    with pytest.raises(NotDelivered, match="429 Too Many Requests") as caught:
        hook(receiver).send("evt_1", BODY)
    assert least <= caught.value.seconds <= most


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.statuses, receiver.headers = [307], {"Location": elsewhere.url}
        with pytest.raises(NotDelivered, match="307 Temporary Redirect, and redirects are not followed"):
            hook(receiver).send("evt_1", BODY)
        assert elsewhere.requests == []


def test_a_slow_receiver_is_given_its_time_and_no_more(receiver: Receiver) -> None:
    receiver.seconds = 30
    begun = time.monotonic()
    with pytest.raises(NotDelivered, match=r"no answer within 0\.3 s"):
        hook(receiver, seconds=0.3).send("evt_1", BODY)
    assert time.monotonic() - begun < 10


def test_one_that_answers_byte_by_byte_is_cut_at_the_same_time() -> None:
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                for letter in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
                    try:
                        connection.send(bytes([letter]))
                    except OSError:
                        return
                    if done.wait(0.05):
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(NotDelivered, match=r"no answer within 0\.5 s"):
            Webhook("ops", url, (SECRET,), seconds=0.5).send("evt_1", BODY)
        done.set()
        thread.join()


def test_a_receiver_that_is_away_is_said_without_its_address() -> None:
    for url in (f"http://127.0.0.1:{free_port()}/{TOKEN}", f"http://no-such-host.invalid/{TOKEN}"):
        with pytest.raises(NotDelivered) as caught:
            Webhook("ops", url, (SECRET,), seconds=5).send("evt_1", BODY)
        assert str(caught.value)
        assert TOKEN not in str(caught.value)
