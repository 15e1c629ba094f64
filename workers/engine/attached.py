"""A server of somebody else's, attached by URL: llama.cpp, Ollama, a remote vLLM."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit

import structlog

from tasks.errors import EngineFault, InvalidInput
from tasks.llm.capabilities import Capabilities
from tasks.types import Modality
from workers.engine.detection import REPETITION, Endpoint, Server, describe_server, detect_capabilities
from workers.engine.health import EngineHealth
from workers.engine.probe import canary, counted, fetch
from workers.engine.profiles import Serving
from workers.http_client import public_url

log = structlog.get_logger()

WATCH_SECONDS = 5.0
CANARY_EVERY_SECONDS = 60.0

# Its slots may all hold long answers of ours, and few servers count what they write: a canary waits for one.
CANARY_SECONDS = 120.0

# What can be assumed of a server that doesn't say.
ASSUMED_CONTEXT_TOKENS = 8192
MOST_ANSWER_TOKENS = 8192
WIDTH, SLOTS = 4, 8
TEXT_ONLY = frozenset({Modality.TEXT})


class AttachedEndpoint:
    """Implements `ModelHost` over a URL; nothing is started or stopped.

    Parameters: `model` is the name that the server lists, needed where it lists several; `serving` is how the model is
    to be used where its operator has a profile for it: what the server says of its context and slots still counts.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        key: str = "",
        modalities: frozenset[Modality] = TEXT_ONLY,
        serving: Serving | None = None,
        watch_seconds: float = WATCH_SECONDS,
        canary_every_seconds: float = CANARY_EVERY_SECONDS,
    ) -> None:
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput("endpoint", url, "it must be an address such as http://127.0.0.1:8080/v1")
        self.url, self.model, self._key = url.rstrip("/"), model, key
        self._watch_seconds, self._canary_every_seconds = watch_seconds, canary_every_seconds
        self._modalities, self._given = modalities, serving
        self._ready = threading.Event()
        self._server = Server()
        self.capabilities = Capabilities()
        self.profile = self._serving()

    @property
    def sequences(self) -> int:
        """Its slots, where it tells them (llama.cpp does)."""
        return self._server.slots

    @property
    def ready(self) -> bool:
        """Whether it answered when it was last looked at, its canary right."""
        return self._ready.is_set()

    def describe(self) -> str:
        """The address, without a name or password in it and never the key; what the server says it is; the model."""
        said = (f"endpoint {public_url(self.url)}", self._server.name, self.model)
        return " ".join(part for part in said if part)

    def missing(self) -> tuple[str, ...]:
        """What it can't or doesn't say, each with what is done instead."""
        context = f"its context is not said: {self.profile.max_model_len} tokens are assumed"
        return (*self.capabilities.missing(), *(() if self._server.context_tokens else (context,)))

    def examine(self) -> None:
        """Chooses the model, asks the canary, finds out what the server can. Raises `EngineFault`, `InvalidInput`."""
        served = self._models()
        names = ", ".join(sorted(served)) or "none"
        if not self.model:
            if len(served) != 1:
                raise InvalidInput("endpoint_model", "", f"name one of: {names}")
            self.model = next(iter(served))
        if self.model not in served:
            raise InvalidInput("endpoint_model", self.model, f"served are: {names}")
        self._ask_canary()  # before it is described: Ollama tells the context of a loaded model only
        endpoint = Endpoint(url=self.url, model=self.model, key=self._key)
        self._server = describe_server(endpoint, served[self.model])
        self.capabilities = detect_capabilities(endpoint)
        self.profile = self._serving()

    def start(self) -> None:
        """Examines it. Raises `EngineFault`, `InvalidInput`."""
        self.examine()
        for lack in self.missing():
            log.info("the endpoint is worked around", endpoint=public_url(self.url), lack=lack)
        self._ready.set()

    def watch(self, stop: threading.Event) -> None:
        """Looks every few seconds whether it is well."""
        try:
            self._watch(stop)
        finally:
            self._ready.clear()

    def stop(self) -> None:
        """The server goes on."""
        self._ready.clear()

    def _models(self) -> dict[str, Any]:
        """The models by id; an address given without /v1 is completed where that is what answers."""
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
        asked = {"prompt": profile.canary_prompt, "pattern": profile.canary_pattern}
        canary(self.url, self.model, **asked, key=self._key, seconds=seconds)

    def _watch(self, stop: threading.Event) -> None:
        health = EngineHealth(
            lambda: fetch(f"{self.url}/models", key=self._key, seconds=10),
            self._ask_canary,
            lambda: counted(self.url.removesuffix("/v1")),
            canary_every_seconds=self._canary_every_seconds,
            canary_seconds=CANARY_SECONDS,
        )
        while not stop.wait(self._watch_seconds):
            ill = health.look()
            if ill is None:
                self._ready.set()
            elif self._ready.is_set():
                log.warning("the endpoint is not well", why=ill)
                self._ready.clear()

    def _serving(self) -> Serving:
        """As the operator's profile has it, within what the server says of itself."""
        said = self._server
        given = self._given or _assumed(said.context_tokens or ASSUMED_CONTEXT_TOKENS)
        context = min(given.max_model_len, said.context_tokens or given.max_model_len)
        wanted = given.slots or SLOTS
        slots = min(wanted, said.slots or wanted)
        answer = max(1, min(given.max_answer_tokens, context // 4))
        thinking = given.thinking and given.thinking.model_copy(update={"tokens": min(given.thinking.tokens, answer)})
        extra = {name: value for name, value in given.request_extra.items() if name not in REPETITION}
        return given.model_copy(
            update={
                "max_model_len": context,
                "slots": slots,
                "width": min(given.width, slots),
                "max_answer_tokens": answer,
                "max_review_tokens": min(given.max_review_tokens, answer),
                "thinking": thinking,
                "modalities": given.modalities | self._modalities,
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
