"""The client of the cloud's Responses API: one POST in background mode, then its events, then polling.

A request is sent once, whatever happens: what is lost after that is fetched by its id or given up. A cancel is
heard within `POLL_SECONDS`. It must not know jobs, budgets or prices.
"""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.errors import Cancelled, CloudFault, CloudUnreached, EgressForbidden, LimitReached, TurnEnded
from tasks.llm.responsebody import MESSAGE_CHARS, ended, said, told
from tasks.llm.stream import Ask, Stream, events
from tasks.ports import Heartbeat
from tasks.types import CloudAnswer, CloudEnd, Egress

if TYPE_CHECKING:
    import ssl

    import httpx2
    import openai

OPENAI_URL = "https://api.openai.com/v1"
POLL_SECONDS = 0.25
CONNECT_SECONDS = 10.0
# A stream may be silent while the model thinks: after this long the response is asked for instead.
STREAM_SILENCE_SECONDS = 90.0
FETCH_SECONDS = 30.0
CANCEL_SECONDS = 5.0
# Between two looks at a response; the first is quick, for most streams break near their end.
LOOKS = (0.5, 1.0, 2.0, 5.0)
# Looks in a row that may fail before the turn is given back.
FAILED_LOOKS = 4
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class OpenAIResponses:
    """Implements `CloudModel`. Safe to share between threads.

    Parameters: `base_url` ends in /v1, or is empty for OpenAI's own; `first_event_seconds` bounds the silence before
    the id, `answer_seconds` the whole response, which is cancelled then; `looks` are the pauses between two polls.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        first_event_seconds: float,
        answer_seconds: float,
        looks: Sequence[float] = LOOKS,
    ) -> None:
        self._base_url, self._api_key = (base_url or OPENAI_URL).rstrip("/"), api_key
        self._first_seconds, self._answer_seconds = first_event_seconds, answer_seconds
        self._looks = looks
        self._tls: ssl.SSLContext | None = None

    def start(self, request: str, egress: Egress, on_id: Callable[[str], None], heartbeat: Heartbeat) -> CloudAnswer:
        """As the port has it: at most one POST, whatever happens."""
        if egress is not Egress.FULL:
            raise EgressForbidden(egress)
        heartbeat.check()
        begun = time.monotonic()
        body: Mapping[str, Any] = json.loads(request)
        stream = self._stream(_create(body), silence=max(self._first_seconds, STREAM_SILENCE_SECONDS))
        try:
            response_id, answer = self._first(stream, on_id, heartbeat)
            if answer is None:
                answer = self._listen(stream, begun, heartbeat)
        except (TurnEnded, LimitReached) as ended:
            stream.leave()
            if not stream.sent and not isinstance(ended, Cancelled):  # a cancelled job has no next turn to send it
                raise CloudUnreached(f"the turn ended before anything was sent ({ended})") from ended
            raise
        finally:
            stream.leave()
        return answer or self._follow(response_id, begun, heartbeat)

    def attach(self, response_id: str, heartbeat: Heartbeat) -> CloudAnswer:
        """As the port has it: GETs only."""
        return self._follow(response_id, time.monotonic(), heartbeat)

    def cancel(self, response_id: str) -> CloudAnswer:
        """As the port has it: one POST that carries the id alone."""
        begun = time.monotonic()
        try:
            found = self._once(_cancel(response_id), CANCEL_SECONDS, None)
        except _Failed as failed:
            return CloudAnswer(end=CloudEnd.CANCELLED, error=f"the cancel was not confirmed: {failed}")
        return ended(found, time.monotonic() - begun) or CloudAnswer(end=CloudEnd.CANCELLED, error="cancelled")

    # ── one stream ───────────────────────────────────────────────────────────────────────────

    def _first(
        self, stream: Stream, on_id: Callable[[str], None], heartbeat: Heartbeat
    ) -> tuple[str, CloudAnswer | None]:
        """The response's id, handed on at the first event that brings it; or how the request ended without one."""
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
                found = item.get("response")
                if isinstance(found, dict) and found.get("id"):
                    on_id(str(found["id"]))
                    heartbeat.beat()
                    return str(found["id"]), ended(found, 0.0)
                if item.get("type") == "error":
                    return "", CloudAnswer(end=CloudEnd.LOST, error=self._line(said(item) or "an error event"))
                continue
            return "", self._unanswered(stream, item)

    def _unanswered(self, stream: Stream, item: Exception | None) -> CloudAnswer:
        """What a request without an id has come to. Raises `CloudUnreached` where it never left."""
        import openai

        stream.leave()
        line = self._line("it hung up without an event" if item is None else told(item))
        if not stream.sent:
            raise CloudUnreached(line)
        if isinstance(item, openai.APIStatusError) and item.status_code < 500:
            return CloudAnswer(end=CloudEnd.REJECTED, error=line)
        return CloudAnswer(end=CloudEnd.LOST, error=line)

    def _listen(self, stream: Stream, begun: float, heartbeat: Heartbeat) -> CloudAnswer | None:
        """The response's end, or None where the stream breaks or falls silent before it."""
        heard = time.monotonic()
        heartbeat.expect_silence(STREAM_SILENCE_SECONDS)
        while time.monotonic() - heard < STREAM_SILENCE_SECONDS and time.monotonic() - begun < self._answer_seconds:
            heartbeat.check()
            try:
                item = stream.items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if not isinstance(item, dict):
                return None
            heard = time.monotonic()
            heartbeat.beat(1 if str(item.get("type", "")).endswith(".delta") else 0)
            heartbeat.expect_silence(STREAM_SILENCE_SECONDS)
            found = item.get("response")
            if isinstance(found, dict) and (answer := ended(found, heard - begun)):
                return answer
        return None

    # ── polling ──────────────────────────────────────────────────────────────────────────────

    def _follow(self, response_id: str, begun: float, heartbeat: Heartbeat) -> CloudAnswer:
        """Looks at the response until it has ended. Raises `CloudFault` where looking fails again and again."""
        looks = failures = 0
        while True:
            try:
                found = self._once(_retrieve(response_id), FETCH_SECONDS, heartbeat)
            except _Failed as failed:
                if failed.gone:
                    return CloudAnswer(end=CloudEnd.LOST, error=str(failed))
                failures += 1
                if failures >= FAILED_LOOKS:
                    raise CloudFault(f"{response_id} can't be fetched: {failed}") from None
            else:
                failures = 0
                heartbeat.beat()
                if answer := ended(found, time.monotonic() - begun):
                    return answer
            if time.monotonic() - begun > self._answer_seconds:
                return self._give_up(response_id)
            self._pause(self._looks[min(looks, len(self._looks) - 1)], heartbeat)
            looks += 1

    def _give_up(self, response_id: str) -> CloudAnswer:
        made = self.cancel(response_id)
        if made.end is not CloudEnd.CANCELLED:
            return made
        why = f"it had not ended after {self._answer_seconds:g} s and was cancelled"
        return CloudAnswer(end=made.end, model=made.model, usage=made.usage, error=why)

    def _once(self, ask: Ask, seconds: float, heartbeat: Heartbeat | None) -> Mapping[str, Any]:
        """One small request's JSON. Raises `_Failed`, and what `heartbeat` raises."""
        import openai

        stream = self._stream(ask, silence=seconds)
        deadline = time.monotonic() + seconds
        if heartbeat is not None:
            heartbeat.expect_silence(seconds + max(self._looks))
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
                gone = isinstance(item, openai.NotFoundError)
                raise _Failed(self._line("no answer" if item is None else told(item)), gone=gone)
            raise _Failed(f"no answer within {seconds:g} s", gone=False)
        finally:
            stream.leave()

    @staticmethod
    def _pause(seconds: float, heartbeat: Heartbeat) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            heartbeat.check()
            time.sleep(min(POLL_SECONDS, left))

    # ── the connection ───────────────────────────────────────────────────────────────────────

    def _stream(self, ask: Ask, *, silence: float) -> Stream:
        return Stream(self._client(silence), self._base_url, self._api_key, ask)

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
                read=silence + 2 * POLL_SECONDS,  # we look first
                write=CONNECT_SECONDS,
                pool=CONNECT_SECONDS,
            ),
        )

    def _line(self, said: str) -> str:
        """One line, and never the key."""
        line = " ".join(said.split())
        return (line.replace(self._api_key, "***") if self._api_key else line)[:MESSAGE_CHARS]


class _Failed(Exception):
    """A small request that brought nothing; `gone` where the response isn't there any more."""

    def __init__(self, why: str, *, gone: bool) -> None:
        super().__init__(why)
        self.gone = gone


def _create(body: Mapping[str, Any]) -> Ask:
    def ask(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
        with client.responses.with_streaming_response.create(**body) as response:
            yield from events(response.iter_bytes())

    return ask


def _retrieve(response_id: str) -> Ask:
    def ask(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
        yield _object(client.responses.with_raw_response.retrieve(response_id).content)

    return ask


def _cancel(response_id: str) -> Ask:
    def ask(client: openai.OpenAI) -> Iterator[dict[str, Any]]:
        yield _object(client.responses.with_raw_response.cancel(response_id).content)

    return ask


def _object(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise TypeError("the answer is no JSON object")
    return found
