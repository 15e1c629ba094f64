"""One real answer of an attached server, streamed through the client that jobs use, since other calls say little of it.
It must not know what is done with a server that fails.
"""

from __future__ import annotations

import time

from tasks.errors import AnswerInReasoning, LimitReached
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.capabilities import Capabilities, ThoughtForm
from tasks.llm.chat import OpenAIChatModel
from tasks.types import ChatRequest, Message
from workers.engine.detection import CALL_SECONDS, Endpoint

# Enough for a model that thinks; most answer in one token. A model that needs more shows nothing, and nothing is lost.
ANSWER_TOKENS = 256
ANSWER_SECONDS = 60.0
QUESTION = "What is 2 + 2? Answer with the number alone."


def probe_stream(endpoint: Endpoint, capabilities: Capabilities) -> ThoughtForm:
    """Where the answer had its thoughts, as far as it shows; else as `capabilities` say. Raises `EngineFault`: in one
    line, what is wrong with the stream."""
    client = OpenAIChatModel(
        base_url=endpoint.url,
        model=endpoint.model,
        api_key=endpoint.key or "none",
        context_tokens=0,
        first_token_seconds=CALL_SECONDS,
        token_silence_seconds=CALL_SECONDS,
        extra={},
        engine="",
        capabilities=capabilities,
    )
    messages = (Message(role="user", content=QUESTION),)
    try:
        request = ChatRequest(messages=messages, temperature=0.0, max_tokens=ANSWER_TOKENS)
        completion = client.complete(request, _Patience())
    except AnswerInReasoning:
        return "swapped"
    if "apart" in client.thoughts:
        return "apart"
    if "opened" in client.thoughts:
        return "opened"
    # Its template opens the thoughts, and no mark closes them in an answer that the model ended: the server drops them.
    dropped = capabilities.thoughts == "opened" and completion.finish_reason == "stop"
    return "apart" if dropped else capabilities.thoughts


class _Patience(SilentHeartbeat):
    """Ends an answer that takes too long."""

    def __init__(self) -> None:
        self._until = time.monotonic() + ANSWER_SECONDS

    def check(self) -> None:
        """Raises `LimitReached` when the time is over."""
        if time.monotonic() > self._until:
            raise LimitReached("hours", 1, 1)
