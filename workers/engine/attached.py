"""A server that somebody else runs, attached by URL: llama.cpp, Ollama, a remote vLLM."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any
from urllib.parse import urlsplit

import structlog

from tasks.errors import EngineFault, InvalidInput
from tasks.llm.capabilities import Capabilities
from tasks.taskrecords import NO_RECORD, TaskRecord
from tasks.types import Modality
from workers.engine.detection import REPETITION, Endpoint, Server, describe_server, detect_capabilities
from workers.engine.health import EngineHealth
from workers.engine.load import EngineLoad, read_load
from workers.engine.outage import Outage, Outages
from workers.engine.probe import canary, counted, fetch
from workers.engine.profiles import Serving
from workers.engine.stream_probe import probe_stream
from workers.http_client import public_url

log = structlog.get_logger()

WATCH_SECONDS = 5.0
CANARY_EVERY_SECONDS = 60.0

# All its slots may be busy with our own long answers, and few servers report progress: a canary waits for a slot.
CANARY_SECONDS = 120.0

# Assumptions about a server that doesn't report these values.
ASSUMED_CONTEXT_TOKENS = 8192
MOST_ANSWER_TOKENS = 8192
WIDTH, SLOTS = 4, 8
TEXT_ONLY = frozenset({Modality.TEXT})


class AttachedEndpoint:
    """Implements `ModelHost` over a URL; nothing is started or stopped.

    It has no `slots` to copy prompts between: their files would be on its machine, and stay there.

    Parameters: `model` is the name that the server lists, needed where it lists several; `context_tokens` is the
    model's context where the server reports none, or a larger one; 0: unknown. `serving` is how the model is to be used
    where its operator has a profile for it: what the server says of its context and slots still counts.
    """

    slots = None
    restarts = 0

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        key: str = "",
        modalities: frozenset[Modality] = TEXT_ONLY,
        context_tokens: int = 0,
        serving: Serving | None = None,
        watch_seconds: float = WATCH_SECONDS,
        canary_every_seconds: float = CANARY_EVERY_SECONDS,
    ) -> None:
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput("endpoint", url, "it must be an address such as http://127.0.0.1:8080/v1")
        self.url, self.model, self._key = url.rstrip("/"), model, key
        self._watch_seconds, self._canary_every_seconds = watch_seconds, canary_every_seconds
        self._modalities, self._operator_serving = modalities, serving
        self._configured_context_tokens = context_tokens
        self._ready, self._outages = threading.Event(), Outages()
        self._server = Server()
        self.capabilities = Capabilities()
        self.profile = self._serving()

    @property
    def sequences(self) -> int:
        """The number of its slots, if the server reports it (llama.cpp does)."""
        return self._server.slots

    @property
    def ready(self) -> bool:
        """Whether its last health check succeeded, with a right answer to the canary."""
        return self._ready.is_set()

    @property
    def outage(self) -> Outage | None:
        """See `ModelHost.outage`."""
        return self._outages.now

    def describe(self) -> str:
        """The address without user name, password and key; the server's name; the model."""
        parts = (f"endpoint {public_url(self.url)}", self._server.name, self.model)
        return " ".join(part for part in parts if part)

    def missing(self) -> tuple[str, ...]:
        """One sentence for each unsupported or unreported feature, with what is done instead."""
        reported, configured = self._server.context_tokens, self._configured_context_tokens
        if reported or configured:
            context = f"its context is {reported} tokens, not {configured}" if 0 < reported < configured else ""
        else:
            assumed = self.profile.max_model_len
            context = (
                f"its context is not said: {assumed} tokens are assumed unless REDRAFT_ENDPOINT_CONTEXT_TOKENS is set"
            )
        return (*self.capabilities.missing(), *([context] if context else []))

    def examine(self) -> None:
        """Chooses the model, sends the canary, detects capabilities, streams one answer. Raises `EngineFault`,
        `InvalidInput`."""
        served = self._models()
        names = ", ".join(sorted(served)) or "none"
        if not self.model:
            if len(served) != 1:
                raise InvalidInput("endpoint_model", "", f"name one of: {names}")
            self.model = next(iter(served))
        if self.model not in served:
            raise InvalidInput("endpoint_model", self.model, f"served are: {names}")
        self._ask_canary()  # before the description, since Ollama reports the context only of a loaded model
        endpoint = Endpoint(url=self.url, model=self.model, key=self._key)
        self._server = describe_server(endpoint, served[self.model])
        detected = detect_capabilities(endpoint)
        self.capabilities = dataclasses.replace(detected, thoughts=probe_stream(endpoint, detected))
        self.profile = self._serving()

    def load(self) -> EngineLoad | None:
        """What it reports of its load; None where it doesn't."""
        return read_load(self.url.removesuffix("/v1"), key=self._key) if self.capabilities.metrics else None

    def start(self) -> None:
        """Examines it. Raises `EngineFault`, `InvalidInput`."""
        self.examine()
        for lack in self.missing():
            log.info("the endpoint is worked around", endpoint=public_url(self.url), lack=lack)
        self._ready.set()

    def watch(self, stop: threading.Event, record: TaskRecord = NO_RECORD) -> None:
        """Looks every few seconds whether it is well."""
        try:
            self._watch(stop, record)
        finally:
            self._ready.clear()

    def stop(self) -> None:
        """The server goes on."""
        self._ready.clear()

    def _models(self) -> dict[str, Any]:
        """The models by id. Completes an address without /v1 if only that answers."""
        try:
            return self._list(self.url)
        except EngineFault:
            if urlsplit(self.url).path not in ("", "/"):
                raise
            served = self._list(f"{self.url}/v1")
            self.url = f"{self.url}/v1"
            return served

    def _list(self, url: str) -> dict[str, Any]:
        answer = fetch(f"{url}/models", key=self._key, seconds=15)
        try:
            return {str(entry["id"]): entry for entry in answer["data"]}
        except (KeyError, TypeError) as error:
            raise EngineFault(f"{url}/models: this is no list of models: {str(answer)[:200]}") from error

    def _ask_canary(self, seconds: float = CANARY_SECONDS) -> None:
        profile = self.profile
        arguments = {"prompt": profile.canary_prompt, "pattern": profile.canary_pattern}
        canary(self.url, self.model, **arguments, key=self._key, seconds=seconds)

    def _watch(self, stop: threading.Event, record: TaskRecord) -> None:
        health = EngineHealth(
            lambda: fetch(f"{self.url}/models", key=self._key, seconds=10),
            self._ask_canary,
            lambda: counted(self.url.removesuffix("/v1")),
            canary_every_seconds=self._canary_every_seconds,
            canary_seconds=CANARY_SECONDS,
        )
        while not stop.wait(self._watch_seconds):
            problem = health.look()
            record.succeeded()
            if problem is None:
                self._ready.set()
                self._outages.ends()
                continue
            self._outages.fails(problem)
            if self._ready.is_set():
                log.warning("the endpoint is not well", why=problem)
                self._ready.clear()

    def _serving(self) -> Serving:
        """The operator's profile, restricted by what the server reports and by the configured context."""
        server = self._server
        known = min(filter(None, (server.context_tokens, self._configured_context_tokens)), default=0)
        serving = self._operator_serving or _assumed(known or ASSUMED_CONTEXT_TOKENS)
        context = min(serving.max_model_len, known or serving.max_model_len)
        requested_slots = serving.slots or SLOTS
        slots = min(requested_slots, server.slots or requested_slots)
        answer = max(1, min(serving.max_answer_tokens, context // 4))
        thinking = serving.thinking and serving.thinking.model_copy(
            update={"tokens": min(serving.thinking.tokens, answer)}
        )
        extra = {name: value for name, value in serving.request_extra.items() if name not in REPETITION}
        return serving.model_copy(
            update={
                "max_model_len": context,
                "slots": slots,
                "width": min(serving.width, slots),
                "max_answer_tokens": answer,
                "max_review_tokens": min(serving.max_review_tokens, answer),
                "thinking": thinking,
                "modalities": serving.modalities | self._modalities,
                "request_extra": extra | (REPETITION if self.capabilities.repetition else {}),
            }
        )


def _assumed(context_tokens: int) -> Serving:
    answer = max(1, min(MOST_ANSWER_TOKENS, context_tokens // 4))
    return Serving(
        name="endpoint",
        max_model_len=context_tokens,
        width=WIDTH,
        slots=SLOTS,
        max_answer_tokens=answer,
        max_review_tokens=min(2048, answer),
    )
