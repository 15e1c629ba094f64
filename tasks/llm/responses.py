"""The client of the cloud's Responses API: one POST in background mode, then its events, then polling.

A call sends its request once: what is lost after that is fetched by its id or given up, and one that the cloud did not
take is `busy`, for the caller to send again. A cancelled job is noticed within `POLL_SECONDS`. It must not know
jobs, budgets or prices.
"""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.errors import Cancelled, CloudFault, CloudUnreached, EgressForbidden, LimitReached, TurnEnded
from tasks.llm.refusals import error_codes, refusal, unrun
from tasks.llm.responsebody import MESSAGE_CHARS, describe_error, ended, error_message
from tasks.llm.sse import events
from tasks.llm.stream import Send, Stream
from tasks.ports import Heartbeat
from tasks.types import CloudAnswer, CloudEnd, Egress, EscalationKind, Health

if TYPE_CHECKING:
    import ssl

    import httpx2
    import openai

OPENAI_URL = "https://api.openai.com/v1"
POLL_SECONDS = 0.25
CONNECT_SECONDS = 10.0
# A stream may be silent while the model thinks: after this long the response is polled instead.
STREAM_SILENCE_SECONDS = 90.0
FETCH_SECONDS = 30.0
CANCEL_SECONDS = 5.0
# Pauses between two polls of a response; the first is short, since most streams break near their end.
POLL_PAUSES = (0.5, 1.0, 2.0, 5.0)
# Polls in a row that may fail before the turn is given back.
FAILED_POLLS = 4
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def provider_of(base_url: str) -> str:
    """Host and port of a provider's address, empty for OpenAI's own."""
    return urlsplit(base_url or OPENAI_URL).netloc.rpartition("@")[2] or base_url


class OpenAIResponses:
    """Implements `CloudModel`. Safe to share between threads.

    Parameters: `base_url` ends in /v1, or is empty for OpenAI's own; `first_event_seconds` bounds the silence before
    the id, `answer_seconds` the whole response, which is cancelled then; `pauses` are the seconds between two polls.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        first_event_seconds: float,
        answer_seconds: float,
        pauses: Sequence[float] = POLL_PAUSES,
    ) -> None:
        self._base_url, self._api_key = (base_url or OPENAI_URL).rstrip("/"), api_key
        self._first_seconds, self._answer_seconds = first_event_seconds, answer_seconds
        self._pauses = pauses
        self._tls: ssl.SSLContext | None = None

    @property
    def provider(self) -> str:
        """See `CloudModel.provider`."""
        return provider_of(self._base_url)

    def start(
        self,
        request: str,
        egress: Egress,
        on_id: Callable[[str], None],
        heartbeat: Heartbeat,
        kind: EscalationKind = EscalationKind.ANSWER,
    ) -> CloudAnswer:
        """See `CloudModel.start`: at most one POST, whatever happens."""
        if not egress.allows(kind):
            raise EgressForbidden(egress)
        heartbeat.check()
        begun = time.monotonic()
        body: Mapping[str, Any] = json.loads(request)
        stream = self._stream(self._post(body), silence=max(self._first_seconds, STREAM_SILENCE_SECONDS))
        try:
            return self._follow(stream, str(body.get("model", "")), on_id, begun, heartbeat)
        except (TurnEnded, LimitReached) as stop:
            stream.close()
            if not stream.sent and not isinstance(stop, Cancelled):  # a cancelled job has no next turn to send it
                raise CloudUnreached(f"the turn ended before anything was sent ({stop})", stopped=True) from stop
            raise
        finally:
            stream.close()

    def attach(self, response_id: str, heartbeat: Heartbeat) -> CloudAnswer:
        """See `CloudModel.attach`: GETs only."""
        return self._poll(response_id, time.monotonic(), heartbeat)

    def models(self, heartbeat: Heartbeat) -> frozenset[str] | None:
        """See `CloudModel.models`: one GET."""
        try:
            page = self._request(_models, FETCH_SECONDS, heartbeat)
        except _RequestFailed:
            return None
        entries = page.get("data")
        listed = entries if isinstance(entries, list) else []
        return frozenset(str(entry["id"]) for entry in listed if isinstance(entry, dict) and entry.get("id")) or None

    def cancel(self, response_id: str) -> CloudAnswer:
        """See `CloudModel.cancel`: one POST that carries the id alone."""
        begun = time.monotonic()
        try:
            response = self._request(_cancel(response_id), CANCEL_SECONDS, None)
        except _RequestFailed as failed:
            return CloudAnswer(end=CloudEnd.CANCELLED, error=f"the cancel was not confirmed: {failed}")
        return ended(response, time.monotonic() - begun) or CloudAnswer(end=CloudEnd.CANCELLED, error="cancelled")

    # ── one stream ───────────────────────────────────────────────────────────────────────────

    def _post(self, body: Mapping[str, Any]) -> Send:
        """The request that `start` sends."""
        return _create(body)

    def _follow(
        self, stream: Stream, model: str, on_id: Callable[[str], None], begun: float, heartbeat: Heartbeat
    ) -> CloudAnswer:
        """The answer of that request, begun at `begun` by the monotonic clock; its stream is closed by `start`."""
        response_id, answer = self._await_id(stream, on_id, heartbeat)
        if answer is None:
            answer = self._await_end(stream, begun, heartbeat)
        stream.close()
        return answer or self._poll(response_id, begun, heartbeat)

    def _await_id(
        self, stream: Stream, on_id: Callable[[str], None], heartbeat: Heartbeat
    ) -> tuple[str, CloudAnswer | None]:
        """The response's id, passed to `on_id` at the first event that has it; or how the request ended without one."""
        deadline = time.monotonic() + self._first_seconds
        heartbeat.expect_silence(self._first_seconds)
        while True:
            heartbeat.check()
            try:
                item = stream.items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if time.monotonic() < deadline:
                    continue
                item = TimeoutError(f"nothing came back within {self._first_seconds:g} s")
            if isinstance(item, dict):
                response = item.get("response")
                if isinstance(response, dict) and response.get("id"):
                    on_id(str(response["id"]))
                    heartbeat.beat()
                    return str(response["id"]), ended(response, 0.0)
                if item.get("type") == "error":
                    return "", self._unanswered(stream, item)
                continue
            return "", self._unanswered(stream, item)

    def _error_event(self, event: Mapping[str, Any]) -> CloudAnswer:
        """How a request ended that was answered with an error before there was an id."""
        line, refused = self._redact(error_message(event) or "an error event"), unrun(error_codes(event))
        if refused is None:
            return CloudAnswer(end=CloudEnd.LOST, error=line, health=Health.FAULT)
        return CloudAnswer(end=refused.end, error=line, health=refused.health)

    def _unanswered(self, stream: Stream, item: Exception | Mapping[str, Any] | None) -> CloudAnswer:
        """How a request that got no id ended. Raises `CloudUnreached` where it was never sent."""
        import openai

        stream.close()
        if isinstance(item, Mapping):
            return self._error_event(item)
        line = self._redact("it hung up without an event" if item is None else describe_error(item))
        if not stream.sent:
            raise CloudUnreached(line)
        if isinstance(item, openai.APIStatusError):
            refused = refusal(item.status_code, item.body, item.response.headers)
            return CloudAnswer(end=refused.end, error=line, health=refused.health, retry_seconds=refused.retry_seconds)
        return CloudAnswer(end=CloudEnd.LOST, error=line, health=Health.FAULT)

    def _await_end(self, stream: Stream, begun: float, heartbeat: Heartbeat) -> CloudAnswer | None:
        """The response's end, or None where the stream breaks or falls silent before it."""
        last_event = time.monotonic()
        heartbeat.expect_silence(STREAM_SILENCE_SECONDS)
        while (
            time.monotonic() - last_event < STREAM_SILENCE_SECONDS and time.monotonic() - begun < self._answer_seconds
        ):
            heartbeat.check()
            try:
                item = stream.items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if not isinstance(item, dict):
                return None
            last_event = time.monotonic()
            heartbeat.beat(1 if str(item.get("type", "")).endswith(".delta") else 0)
            heartbeat.expect_silence(STREAM_SILENCE_SECONDS)
            response = item.get("response")
            if isinstance(response, dict) and (answer := ended(response, last_event - begun)):
                return answer
        return None

    # ── polling ──────────────────────────────────────────────────────────────────────────────

    def _poll(self, response_id: str, begun: float, heartbeat: Heartbeat) -> CloudAnswer:
        """Polls the response until it has ended. Raises `CloudFault` after `FAILED_POLLS` failures in a row."""
        polls = failures = 0
        while True:
            try:
                response = self._request(_retrieve(response_id), FETCH_SECONDS, heartbeat)
            except _RequestFailed as failed:
                if failed.missing:
                    return CloudAnswer(end=CloudEnd.LOST, error=str(failed))
                failures += 1
                if failures >= FAILED_POLLS:
                    raise CloudFault(f"{response_id} can't be fetched: {failed}") from None
            else:
                failures = 0
                heartbeat.beat()
                if answer := ended(response, time.monotonic() - begun):
                    return answer
            if time.monotonic() - begun > self._answer_seconds:
                return self._give_up(response_id)
            self._pause(self._pauses[min(polls, len(self._pauses) - 1)], heartbeat)
            polls += 1

    def _give_up(self, response_id: str) -> CloudAnswer:
        answer = self.cancel(response_id)
        if answer.end is not CloudEnd.CANCELLED:
            return answer
        why = f"it had not ended after {self._answer_seconds:g} s and was cancelled"
        return CloudAnswer(end=answer.end, model=answer.model, usage=answer.usage, error=why)

    def _request(self, send: Send, seconds: float, heartbeat: Heartbeat | None) -> Mapping[str, Any]:
        """One small request's JSON. Raises `_RequestFailed`, and what `heartbeat` raises."""
        import openai

        stream = self._stream(send, silence=seconds)
        deadline = time.monotonic() + seconds
        if heartbeat is not None:
            heartbeat.expect_silence(seconds + max(self._pauses))
        try:
            while time.monotonic() < deadline:
                if heartbeat is not None:
                    heartbeat.check()
                try:
                    item = stream.items.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(item, dict):
                    return item
                missing = isinstance(item, openai.NotFoundError)
                raise _RequestFailed(
                    self._redact("no answer" if item is None else describe_error(item)), missing=missing
                )
            raise _RequestFailed(f"no answer within {seconds:g} s", missing=False)
        finally:
            stream.close()

    @staticmethod
    def _pause(seconds: float, heartbeat: Heartbeat) -> None:
        until = time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0:
            heartbeat.check()
            time.sleep(min(POLL_SECONDS, remaining))

    # ── the connection ───────────────────────────────────────────────────────────────────────

    def _stream(self, send: Send, *, silence: float) -> Stream:
        return Stream(self._client(silence), self._base_url, self._api_key, send)

    def _client(self, silence: float) -> httpx2.Client:
        """A client of one connection, which can be shut down from any thread; it follows no redirect."""
        import httpx2

        if self._tls is None:
            self._tls = httpx2.create_ssl_context()
        return httpx2.Client(
            verify=self._tls,
            trust_env=urlsplit(self._base_url).hostname not in LOOPBACK,
            limits=httpx2.Limits(max_keepalive_connections=0),
            timeout=httpx2.Timeout(
                connect=CONNECT_SECONDS,
                read=silence + 2 * POLL_SECONDS,  # our own deadline comes first
                write=CONNECT_SECONDS,
                pool=CONNECT_SECONDS,
            ),
        )

    def _redact(self, text: str) -> str:
        """The text as one line that never holds the key."""
        line = " ".join(text.split())
        return (line.replace(self._api_key, "***") if self._api_key else line)[:MESSAGE_CHARS]


class _RequestFailed(Exception):
    """A small request that brought no answer; `missing` where the cloud no longer has the response."""

    def __init__(self, message: str, *, missing: bool) -> None:
        super().__init__(message)
        self.missing = missing


def _create(body: Mapping[str, Any]) -> Send:
    def send(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
        with client.responses.with_streaming_response.create(**body) as response:
            yield from events(response.iter_bytes())

    return send


def _retrieve(response_id: str) -> Send:
    def send(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
        yield _object(client.responses.with_raw_response.retrieve(response_id).content)

    return send


def _models(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
    yield _object(client.models.with_raw_response.list().content)


def _cancel(response_id: str) -> Send:
    def send(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
        yield _object(client.responses.with_raw_response.cancel(response_id).content)

    return send


def _object(content: bytes) -> dict[str, Any]:
    document = json.loads(content)
    if not isinstance(document, dict):
        raise TypeError("the answer is no JSON object")
    return document
