"""A server of somebody else's, attached by URL: llama.cpp, Ollama, a remote vLLM."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog

from tasks.errors import EngineFault, InvalidInput
from tasks.types import Modality
from workers.engine.probe import canary, fetch
from workers.engine.profiles import Serving

log = structlog.get_logger()

WATCH_SECONDS = 5.0

# What can be assumed of a server that doesn't say.
ASSUMED_CONTEXT_TOKENS = 8192
MOST_ANSWER_TOKENS = 8192
WIDTH, SLOTS = 4, 8
TEXT_ONLY = frozenset({Modality.TEXT})


class AttachedEndpoint:
    """Implements `ModelHost` over a URL; nothing is started or stopped."""

    sequences = 0

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        key: str = "",
        modalities: frozenset[Modality] = TEXT_ONLY,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput("endpoint", url, "it must be an address such as http://127.0.0.1:8080/v1")
        self.url, self.model, self._key = url.rstrip("/"), model, key
        self._watch_seconds, self._modalities = watch_seconds, modalities
        self._ready, self._stopping = threading.Event(), threading.Event()
        self.profile = _serving(ASSUMED_CONTEXT_TOKENS, modalities)

    @property
    def ready(self) -> bool:
        """Whether it answered when it was last looked at."""
        return self._ready.is_set()

    def describe(self) -> str:
        """The address, without a name or password in it; never the key."""
        parts = urlsplit(self.url)
        plain = parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1])
        return f"endpoint {urlunsplit(plain)}"

    def start(self) -> None:
        """Chooses the model and asks the canary. Raises `EngineFault`, `InvalidInput`."""
        served = self._models()
        names = ", ".join(sorted(served)) or "none"
        if not self.model:
            if len(served) != 1:
                raise InvalidInput("endpoint_model", "", f"name one of: {names}")
            self.model = next(iter(served))
        if self.model not in served:
            raise InvalidInput("endpoint_model", self.model, f"served are: {names}")
        self.profile = _serving(_context_tokens(served[self.model]), self._modalities)
        canary(self.url, self.model, prompt=self.profile.canary_prompt, key=self._key)
        self._ready.set()
        threading.Thread(target=self._watch, name="endpoint-watch", daemon=True).start()

    def stop(self) -> None:
        """Ends the watching; the server goes on."""
        self._stopping.set()
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

    def _watch(self) -> None:
        while not self._stopping.wait(self._watch_seconds):
            try:
                fetch(f"{self.url}/models", key=self._key, seconds=10)
                if not self._stopping.is_set():
                    self._ready.set()
            except EngineFault as fault:
                if self._ready.is_set():
                    log.warning("the endpoint does not answer", fault=str(fault))
                self._ready.clear()


def _context_tokens(entry: Any) -> int:
    """vLLM says max_model_len; llama.cpp says n_ctx_train in `meta`, which its own --ctx-size may undercut."""
    told = entry.get("max_model_len") if isinstance(entry, dict) else None
    return told if isinstance(told, int) and told > 0 else ASSUMED_CONTEXT_TOKENS


def _serving(context_tokens: int, modalities: frozenset[Modality]) -> Serving:
    answer = max(1, min(MOST_ANSWER_TOKENS, context_tokens // 4))
    return Serving(
        name="endpoint",
        max_model_len=context_tokens,
        width=WIDTH,
        slots=SLOTS,
        max_answer_tokens=answer,
        max_review_tokens=min(2048, answer),
        modalities=modalities,
    )
