"""The tokens of a prompt as the local stack's engine or endpoint counts them, for a process that sends it no requests.
Must not know what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tasks.llm.capabilities import Capabilities, Tokenizer
from tasks.llm.chat import LOOPBACK
from tasks.llm.requestbody import ChatTerms
from tasks.llm.tokenizer import ServerTokenizer
from tasks.settings import Settings
from tasks.types import Message
from workers import stackfile
from workers.engine.record import read_record
from workers.home import Home

if TYPE_CHECKING:
    import httpx2

TOKENIZERS: tuple[Tokenizer, ...] = ("chat", "text")


class EngineCount:
    """Implements `tasks.measuring.TokenCount` by the engine of this home, or by the attached endpoint."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, model: str, messages: Sequence[Message]) -> int | None:
        """The tokens of the messages' texts; None where neither runs, serves `model` or has a tokenizer."""
        url, served, key = self._server()
        if not url or served not in ("", model):
            return None
        root = url.rstrip("/").removesuffix("/v1")
        for form in TOKENIZERS:
            terms = ChatTerms(model=model, capabilities=Capabilities(tokenizer=form))
            tokenizer = ServerTokenizer(lambda: _connect(root), root=root, api_key=key or "none", terms=terms)
            if (tokens := tokenizer.count_texts(messages)) is not None:
                return tokens
        return None

    def _server(self) -> tuple[str, str, str]:
        """Its address, the model that it serves, where that is known, and its key."""
        settings, record = self._settings, read_record(Home(root=self._settings.home))
        if record is not None and record.ready and record.process.alive:
            return record.url, record.model, ""
        if settings.endpoint:
            return settings.endpoint, settings.endpoint_model, settings.endpoint_key.get_secret_value()
        stack = stackfile.read(settings.home)
        return (stack.endpoint, stack.endpoint_model, stack.endpoint_key) if stack else ("", "", "")


def _connect(root: str) -> httpx2.Client:
    import httpx2

    return httpx2.Client(trust_env=urlsplit(root).hostname not in LOOPBACK)
