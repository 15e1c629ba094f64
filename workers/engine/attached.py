"""A server of somebody else's, attached by URL: llama.cpp, Ollama, a remote vLLM."""

from __future__ import annotations

import threading

import structlog

from tasks.errors import EngineFault, InvalidInput
from workers.engine.probe import canary, fetch
from workers.engine.profiles import Profile, WeightsSource

log = structlog.get_logger()

WATCH_SECONDS = 5.0

# What can be assumed of a server that doesn't say.
ASSUMED_CONTEXT_TOKENS = 8192


class AttachedEndpoint:
    """Implements `ModelHost` over a URL; nothing is started or stopped."""

    def __init__(self, url: str, *, model: str = "", key: str = "") -> None:
        self.url, self.model, self._key = url.rstrip("/"), model, key
        self._ready, self._stopping = threading.Event(), threading.Event()
        self.profile = _profile(ASSUMED_CONTEXT_TOKENS)

    @property
    def ready(self) -> bool:
        """Whether it answered when it was last looked at."""
        return self._ready.is_set()

    def describe(self) -> str:
        """The address; never the key."""
        return f"endpoint {self.url}"

    def start(self) -> None:
        """Chooses the model and asks the canary. Raises `EngineFault`, `InvalidInput`."""
        served = {entry["id"]: entry for entry in fetch(f"{self.url}/models", key=self._key, seconds=15)["data"]}
        if not self.model:
            if len(served) != 1:
                raise InvalidInput("REDRAFT_ENDPOINT_MODEL", "", f"name one of {', '.join(sorted(served))}")
            self.model = next(iter(served))
        if self.model not in served:
            raise InvalidInput("REDRAFT_ENDPOINT_MODEL", self.model, f"served are {', '.join(sorted(served))}")
        self.profile = _profile(int(served[self.model].get("max_model_len") or ASSUMED_CONTEXT_TOKENS))
        canary(self.url, self.model, key=self._key)
        self._ready.set()
        threading.Thread(target=self._watch, name="endpoint-watch", daemon=True).start()

    def stop(self) -> None:
        """Ends the watching; the server goes on."""
        self._stopping.set()
        self._ready.clear()

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            try:
                fetch(f"{self.url}/models", key=self._key, seconds=10)
                self._ready.set()
            except EngineFault as fault:
                self._ready.clear()
                log.warning("the endpoint does not answer", fault=str(fault))


def _profile(context_tokens: int) -> Profile:
    answer = min(8192, context_tokens // 4)
    return Profile(
        name="endpoint",
        engine="vllm",
        weights=WeightsSource(),
        argv=(),
        max_model_len=context_tokens,
        width=4,
        slots=8,
        max_answer_tokens=answer,
        max_review_tokens=min(2048, answer),
    )
