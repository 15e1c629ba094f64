"""How many tokens a prompt has: counted by the server that answers it, or else estimated. It must not know what the
prompt is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, assert_never

from tasks.llm.counting import Counts
from tasks.llm.requestbody import ChatTerms
from tasks.types import Attachment, Message, Modality

if TYPE_CHECKING:
    import httpx2

TOKENIZE_SECONDS = 10.0
# Used where the endpoint has no tokenizer. Most text has more characters a token, so this counts rather too many.
CHARS_PER_TOKEN = 3
# Upper estimates: Gemma 4's largest image, and 25 tokens for a second of mp3 at 128 kbit/s.
IMAGE_TOKENS = 1120
SOUND_BYTES_PER_TOKEN = 640
# The statuses of servers that have no /tokenize; any other failure may pass, so the request is sent again next time.
NO_TOKENIZER = frozenset({401, 403, 404, 405, 501})


class ServerTokenizer:
    """Counts by the pages beside a server's API. Safe to share between threads.

    Parameters: `connect` makes a client, `root` is the server's address without /v1.
    """

    def __init__(self, connect: Callable[[], httpx2.Client], *, root: str, api_key: str, terms: ChatTerms) -> None:
        self._connect, self._root, self._api_key, self._terms = connect, root, api_key, terms
        self._tokenizes, self._counts = terms.capabilities.tokenizer != "none", Counts()

    def count(self, messages: Sequence[Message]) -> int:
        """Counted by the endpoint's own tokenizer where it has one, each prompt once, else as a third of the
        characters.

        The tokens of images and sounds are estimated, since their bytes are sent only once, for the answer.
        """
        counted = self.count_texts(messages)
        if counted is None:
            counted = sum(len(message.content) for message in messages) // CHARS_PER_TOKEN
        return counted + sum(_estimate(attachment) for message in messages for attachment in message.attachments)

    def count_texts(self, messages: Sequence[Message]) -> int | None:
        """The tokens of their texts as the endpoint counts them, each prompt once; None where it does not."""
        return self._counts.of(messages, lambda: self._tokenize(messages)) if self._tokenizes else None

    def _tokenize(self, messages: Sequence[Message]) -> int | None:
        import httpx2

        plain = [{"role": message.role, "content": message.content} for message in messages]
        body: dict[str, Any] = {"model": self._terms.model, "messages": plain, "add_generation_prompt": True}
        if "chat_template_kwargs" in self._terms.extra:
            body["chat_template_kwargs"] = self._terms.extra["chat_template_kwargs"]
        try:
            with self._connect() as client:
                return self._count(client, body)
        except httpx2.HTTPError:
            return None  # if the engine is down, the request for the answer reports it
        except (ValueError, KeyError, TypeError):
            self._tokenizes = False  # whatever answers there is no tokenizer
            return None

    def _count(self, client: httpx2.Client, body: Mapping[str, Any]) -> int | None:
        """The tokens of a chat as vLLM counts it, or of the text into which llama.cpp renders it."""
        if self._terms.capabilities.tokenizer == "chat":
            response = self._post(client, "tokenize", body)
            return int(response["count"]) if response else None
        rendered = self._post(client, "apply-template", {"messages": body["messages"]})
        response = self._post(client, "tokenize", {"content": rendered["prompt"]}) if rendered else None
        return len(response["tokens"]) if response else None

    def _post(self, client: httpx2.Client, page: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a page beside the API, or None where it fails. A status that says the server has no such page
        turns counting off for good."""
        headers = {"Authorization": f"Bearer {self._api_key}"}
        response = client.post(f"{self._root}/{page}", json=body, headers=headers, timeout=TOKENIZE_SECONDS)
        if response.status_code in NO_TOKENIZER:
            self._tokenizes = False
        return response.json() if response.is_success else None


def _estimate(attachment: Attachment) -> int:
    match attachment.modality:
        case Modality.IMAGE:
            return IMAGE_TOKENS
        case Modality.AUDIO:
            return attachment.bytes // SOUND_BYTES_PER_TOKEN
        case Modality.TEXT:
            return attachment.bytes // CHARS_PER_TOKEN
        case _:
            assert_never(attachment.modality)
