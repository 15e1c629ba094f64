"""A local stand-in of OpenAI's Responses API: background mode, its events, polling, cancel, errors, usage.

`python tests/standin/responses.py --port P --answers FILE.json` serves it on loopback; FILE holds a list of rules
such as `{"contains": "addition chain", "answer": "…"}`, of which the first whose text is in the input counts. A rule
may have a `fault` (see FAULTS), `times` that a job meets it before it is answered, a `retry_after` header, and a
`delay_seconds` before each event. `GET /count` says how many requests came in, and how many were accepted.
A test holds every body and event to the types of OpenAI's own SDK. Knows nothing of Redraft, and needs no library.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

# Answers with an HTTP error: its status, and the type, code and message of its error object; no object where a proxy
# before the API answers instead of it.
REFUSALS: dict[str, tuple[int, str, str | None, str]] = {
    "unauthorized": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": (403, "invalid_request_error", "unsupported_country_region_territory", "Country not supported."),
    "model_gone": (404, "invalid_request_error", "model_not_found", "The model `gpt-5.4` does not exist."),
    "parameter": (400, "invalid_request_error", "unsupported_parameter", "Unsupported parameter: 'store'."),
    "prompt_filter": (400, "invalid_request_error", "content_filter", "The prompt triggered a content policy."),
    "timed_out": (408, "timeout", None, "The operation timed out."),
    "rate_limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached."),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "server_error": (500, "server_error", None, "The server had an error while processing your request."),
    "bad_gateway": (502, "", None, "Bad gateway"),
    "overloaded": (503, "service_unavailable_error", "server_is_overloaded", "The engine is currently overloaded."),
    "proxy": (503, "", None, "upstream connect error or disconnect/reset before headers"),
}
FAULTS = (
    *REFUSALS,
    "hang",  # the request is taken, and nothing ever comes back
    "drop_before_created",  # it is taken, and the connection ends before an event
    "drop_after_created",  # the connection ends after the first event; the response goes on in the background
    "error_event",  # the first event is an error: the rate limit is reached
    "failed",  # ends with response.failed after the model has run
    "unrun",  # ends with response.failed, for the rate limit is reached: no output, no usage
    "unrun_counted",  # the same, and its usage is there, and says nothing
    "unrun_quota",  # ends with response.failed, for the account has no money
    "incomplete",  # ends with response.incomplete at max_output_tokens
    "incomplete_thoughts",  # the same, and the thoughts took all of them: no text
    "answer_filter",  # ends with response.incomplete, for the answer met the content filter
    "refused",  # ends as completed, with a refusal instead of a text
    "withdrawn",  # ends as cancelled, though nobody here cancelled it
    "endless",  # goes on until it is cancelled
    "forgotten",  # drop_after_created, and the response can't be found any more
)
KNOWN = {"background", "input", "instructions", "max_output_tokens", "metadata", "model", "prompt_cache_key"} | {
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "temperature",
    "text",
    "top_p",
    "truncation",
}
CHUNK_CHARS = 24
REASONING_TOKENS = 64
# The API's own: a prefix is cached in steps of 128 tokens from 1,024 on.
CACHE_LEAST, CACHE_STEP = 1024, 128


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What to answer where `contains` is in the input. The first `times` requests of a cache key meet the `fault`, all
    where it is 0, and those after them the fault `then`, if any."""

    contains: str = ""
    answer: str = ""
    fault: str = ""
    delay_seconds: float = 0.0
    times: int = 0
    then: str = ""
    retry_after: str = ""
    output_tokens: int = 0  # what it says that it wrote, where that is not what it did

    def __post_init__(self) -> None:
        if self.fault and self.fault not in FAULTS:
            raise ValueError(f"fault {self.fault!r}: one of {', '.join(FAULTS)}")


class Made:
    """One response: a thread writes its events, and any number of streams read them."""

    def __init__(self, body: dict[str, Any], rule: Rule, cached_tokens: int) -> None:
        mark = uuid.uuid4().hex  # unlike any other stand-in's, as the API's are
        self.id, self._item = f"resp_{mark}", f"msg_{mark}"
        self._body, self._rule, self._cached = body, rule, cached_tokens
        self._created_at = int(time.time())
        self._changed = threading.Condition()
        self._events: list[dict[str, Any]] = []
        self._text, self._status, self._cancelled, self._over = "", "queued", False, False

    def run(self) -> None:
        """Writes the events to the end, or until it is cancelled."""
        for kind, fields in self._script():
            if self._rule.delay_seconds:
                time.sleep(self._rule.delay_seconds)
            with self._changed:
                if self._cancelled:
                    break
                if kind == "response.in_progress":
                    self._status = "in_progress"
                if kind in ("response.completed", "response.failed", "response.incomplete"):
                    self._status = kind.removeprefix("response.")
                if kind.endswith("output_text.delta"):
                    self._text += fields["delta"]
                told = fields or {"response": self._snapshot()}
                self._events.append({"type": kind, "sequence_number": len(self._events), **told})
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def cancel(self) -> dict[str, Any]:
        """Stops it where it still runs; what it is then."""
        with self._changed:
            if self._status in ("queued", "in_progress"):
                self._cancelled, self._status = True, "cancelled"
                self._changed.notify_all()
            return self._snapshot()

    def snapshot(self) -> dict[str, Any]:
        """The response as it stands."""
        with self._changed:
            return self._snapshot()

    def follow(self, after: int = -1) -> Iterator[dict[str, Any]]:
        """Its events with a higher number than `after`, as they come."""
        for at in itertools.count(after + 1):
            with self._changed:
                while len(self._events) <= at and not self._over and not self._cancelled:
                    self._changed.wait(0.1)
                if len(self._events) <= at:
                    return
                event = self._events[at]
            yield event

    def _script(self) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "response.created", {}
        if self._rule.fault.startswith("unrun"):
            yield "response.failed", {}
            return
        yield "response.in_progress", {}
        thought = {"id": self._item.replace("msg", "rs"), "type": "reasoning", "summary": []}
        yield "response.output_item.added", {"output_index": 0, "item": thought}
        yield "response.output_item.done", {"output_index": 0, "item": thought}
        if self._rule.fault == "withdrawn":
            self.cancel()
            return
        if self._rule.fault in ("failed", "incomplete_thoughts"):
            yield f"response.{self._rule.fault.removesuffix('_thoughts')}", {}
            return
        place = {"item_id": self._item, "output_index": 1, "content_index": 0}
        yield "response.output_item.added", {"output_index": 1, "item": self._message("", "in_progress")}
        if self._rule.fault == "refused":
            yield "response.output_item.done", {"output_index": 1, "item": self._message("", "completed")}
            yield "response.completed", {}
            return
        yield "response.content_part.added", {**place, "part": _part("")}
        while self._rule.fault == "endless":
            yield "response.output_text.delta", {**place, "delta": "and so on ", "logprobs": []}
            time.sleep(0.02)
        answer = self._answer()
        for start in range(0, len(answer), CHUNK_CHARS):
            yield "response.output_text.delta", {**place, "delta": answer[start : start + CHUNK_CHARS], "logprobs": []}
        yield "response.output_text.done", {**place, "text": answer, "logprobs": []}
        yield "response.content_part.done", {**place, "part": _part(answer)}
        ended = "incomplete" if self._rule.fault in ("incomplete", "answer_filter") else "completed"
        yield "response.output_item.done", {"output_index": 1, "item": self._message(answer, ended)}
        yield f"response.{ended}", {}

    def _answer(self) -> str:
        if self._rule.fault in ("incomplete", "answer_filter"):
            return self._rule.answer[: len(self._rule.answer) // 2]
        return self._rule.answer

    def _message(self, text: str, status: str) -> dict[str, Any]:
        content = [_part(text)] if text else []
        if self._rule.fault == "refused" and status != "in_progress":
            content = [{"type": "refusal", "refusal": "I can't help with that."}]
        return {"id": self._item, "type": "message", "role": "assistant", "status": status, "content": content}

    def _snapshot(self) -> dict[str, Any]:
        ended = self._status in ("completed", "incomplete")
        message = [] if self._rule.fault == "incomplete_thoughts" else [self._message(self._text, self._status)]
        thought = {"id": self._item.replace("msg", "rs"), "type": "reasoning", "summary": []}
        failed = {"code": "server_error", "message": "The model failed to answer."}
        if self._rule.fault == "unrun_quota":
            failed = {"code": "insufficient_quota", "message": "You exceeded your current quota."}
        elif self._rule.fault.startswith("unrun"):
            failed = {"code": "rate_limit_exceeded", "message": "Rate limit reached."}
        cut = "content_filter" if self._rule.fault == "answer_filter" else "max_output_tokens"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created_at,
            "status": self._status,
            "background": True,
            "error": failed if self._status == "failed" else None,
            "incomplete_details": {"reason": cut} if self._status == "incomplete" else None,
            "instructions": self._body.get("instructions"),
            "max_output_tokens": self._body.get("max_output_tokens"),
            "metadata": {},
            "model": self._body["model"],
            "output": [thought, *message] if ended else [],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "prompt_cache_key": self._body.get("prompt_cache_key"),
            "reasoning": {"effort": (self._body.get("reasoning") or {}).get("effort"), "summary": None},
            "service_tier": self._body.get("service_tier", "default"),
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": self._usage() if ended else _counted(0, 0, 0, 0) if self._rule.fault == "unrun_counted" else None,
        }

    def _usage(self) -> dict[str, Any]:
        taken = tokens(_words(self._body))
        given = self._rule.output_tokens or tokens(self._text) + REASONING_TOKENS
        return _counted(taken, self._cached, given, REASONING_TOKENS)


@dataclass(kw_only=True)
class StandIn:
    """The server's memory: its rules, what came in, and the responses it made. `key` is the one it takes, any where
    it is empty."""

    rules: Sequence[Rule]
    key: str = ""
    models: tuple[str, ...] = ("gpt-5.4",)  # those that it lists
    retired: frozenset[str] = frozenset()  # those that it has no more, listed or not
    url: str = ""
    posts: int = 0
    gets: int = 0
    cancels: int = 0
    accepted: int = 0
    connections: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    made: dict[str, Made] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: dict[str, Any]) -> Rule:
        """Counts a request and finds its rule."""
        with self._lock:
            self.posts += 1
            self.bodies.append(body)
            of_key = [past for past in self.bodies if past.get("prompt_cache_key") == body.get("prompt_cache_key")]
        asked = _words(body)
        rule = next((rule for rule in self.rules if rule.contains in asked), Rule(answer="I do not know."))
        met = rule.times and len(of_key) > rule.times
        return dataclasses.replace(rule, fault=rule.then) if met else rule

    def begin(self, body: dict[str, Any], rule: Rule) -> Made:
        """A response in the background."""
        with self._lock:
            earlier = [
                past for past in self.bodies[:-1] if past.get("prompt_cache_key") == body.get("prompt_cache_key")
            ]
            cached = max((_shared(_words(past), _words(body)) for past in earlier), default=0)
            made = Made(body, rule, cached)
            self.accepted += 1
            self.made[made.id] = made
        threading.Thread(target=made.run, name=made.id, daemon=True).start()
        return made


def tokens(text: str) -> int:
    """Four bytes are one token."""
    return len(text.encode()) // 4


def _words(body: dict[str, Any]) -> str:
    asked = body.get("input", "")
    return str(body.get("instructions") or "") + "\n" + (asked if isinstance(asked, str) else json.dumps(asked))


def _shared(one: str, other: str) -> int:
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    cached = tokens(one[:same]) // CACHE_STEP * CACHE_STEP
    return cached if cached >= CACHE_LEAST else 0


def _counted(taken: int, cached: int, given: int, thought: int) -> dict[str, Any]:
    return {
        "input_tokens": taken,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": given,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": taken + given,
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _handler(standin: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            standin.connections += 1
            super().setup()

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            asked = {name: values[-1] for name, values in parse_qs(address.query).items()}
            if address.path == "/count":
                self._send(200, {name: getattr(standin, name) for name in ("posts", "gets", "cancels", "accepted")})
                return
            standin.gets += 1
            if not self._allowed():
                return
            if address.path == "/v1/models":
                self._send(200, {"object": "list", "data": [_model(name) for name in standin.models]})
                return
            made = self._find(address.path.removeprefix("/v1/responses/"))
            if made is None:
                return
            if asked.get("stream") == "true":
                self._stream(made, int(asked.get("starting_after", -1)))
            elif "starting_after" in asked:
                self._refuse(400, "invalid_request_error", "starting_after is allowed with stream=true only")
            else:
                self._send(200, made.snapshot())

        def do_POST(self) -> None:
            address = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if address.path.endswith("/cancel"):
                standin.cancels += 1
                if self._allowed():
                    made = self._find(address.path.removeprefix("/v1/responses/").removesuffix("/cancel"))
                    if made is not None:
                        self._send(200, made.cancel())
                return
            if address.path != "/v1/responses":
                self._refuse(404, "invalid_request_error", f"there is no {address.path}")
                return
            body = json.loads(content)
            rule = standin.take(body)
            if self._allowed() and self._sound(body):
                if body["model"] in standin.retired:
                    gone = f"The model `{body['model']}` does not exist or you do not have access to it."
                    self._refuse(404, "invalid_request_error", gone, "model_not_found")
                else:
                    self._answer(body, rule)

        def _answer(self, body: dict[str, Any], rule: Rule) -> None:
            match rule.fault:
                case fault if fault in REFUSALS:
                    status, kind, code, message = REFUSALS[fault]
                    headers = {"Retry-After": rule.retry_after} if rule.retry_after else {}
                    if kind:
                        self._refuse(status, kind, message, code, headers)
                    else:
                        self._send_bytes(status, f"<html>{message}</html>".encode(), "text/html", headers)
                case "error_event":
                    self._error(REFUSALS["rate_limit"])
                case "hang":
                    standin.over.wait(60)
                    self._hang_up()
                case "drop_before_created":
                    self._hang_up()
                case "drop_after_created" | "forgotten":
                    made = standin.begin(body, rule)
                    self._stream(made, most=1)
                    if rule.fault == "forgotten":
                        del standin.made[made.id]
                case _ if body.get("stream"):
                    self._stream(standin.begin(body, rule))
                case _:
                    self._send(200, standin.begin(body, rule).snapshot())

        def _allowed(self) -> bool:
            given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if given and given == (standin.key or given):
                return True
            self._refuse(401, "invalid_request_error", f"Incorrect API key provided: {given}.", "invalid_api_key")
            return False

        def _sound(self, body: dict[str, Any]) -> bool:
            unknown = sorted(set(body) - KNOWN)
            missing = [name for name in ("model", "input") if not body.get(name)]
            if unknown:
                self._refuse(400, "invalid_request_error", f"Unknown parameter: '{unknown[0]}'.", "unknown_parameter")
            elif missing:
                self._refuse(400, "invalid_request_error", f"Missing required parameter: '{missing[0]}'.")
            elif not body.get("background"):
                self._refuse(400, "invalid_request_error", "this stand-in answers in background mode only")
            return not unknown and not missing and bool(body.get("background"))

        def _find(self, response_id: str) -> Made | None:
            made = standin.made.get(response_id)
            if made is None:
                self._refuse(404, "invalid_request_error", f"Response with id '{response_id}' not found.")
            return made

        def _error(self, refusal: tuple[int, str, str | None, str]) -> None:
            """A stream of one event that says so."""
            _, _, code, message = refusal
            event = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0}
            self._send_bytes(200, f"event: error\ndata: {json.dumps(event)}\n\n".encode(), "text/event-stream", {})

        def _stream(self, made: Made, after: int = -1, most: int | None = None) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            with contextlib.suppress(OSError):  # the client has left; the response goes on
                for event in itertools.islice(made.follow(after), most):
                    self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                    self.wfile.flush()

        def _send(self, status: int, document: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
            self._send_bytes(status, json.dumps(document).encode(), "application/json", headers or {})

        def _send_bytes(self, status: int, content: bytes, kind: str, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _refuse(
            self,
            status: int,
            kind: str,
            message: str,
            code: str | None = None,
            headers: Mapping[str, str] | None = None,
        ) -> None:
            self._send(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}, headers)

        def _hang_up(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_770_000_000, "owned_by": "stand-in"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error of ours."""


@contextlib.contextmanager
def serving(rules: Sequence[Rule], *, key: str = "", port: int = 0) -> Iterator[StandIn]:
    """A stand-in on loopback, gone at the end."""
    standin = StandIn(rules=rules, key=key)
    server = _Server(("127.0.0.1", port), _handler(standin))
    standin.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield standin
    finally:
        standin.over.set()
        for made in standin.made.values():
            made.cancel()
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description="A local stand-in of OpenAI's Responses API.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--answers", type=Path, required=True, help="a JSON list of rules")
    parser.add_argument("--key", default="", help="the API key it takes; any where none is given")
    given = parser.parse_args()
    rules = [Rule(**rule) for rule in json.loads(given.answers.read_text())]
    with serving(rules, key=given.key, port=given.port) as standin, contextlib.suppress(KeyboardInterrupt):
        print(f"serving {standin.url}", flush=True)
        standin.over.wait()


if __name__ == "__main__":
    main()
