"""A stronger model behind any OpenAI-compatible chat endpoint: a larger one of one's own, or another provider's.

One POST, whose stream is followed to its end. A chat can't be fetched again by an id: what breaks off after the first
event is lost, and so is what a killed worker was listening to. It must not know jobs, budgets or prices.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tasks.errors import EngineFault
from tasks.llm.answer import Answer
from tasks.llm.responses import POLL_SECONDS, STREAM_SILENCE_SECONDS, OpenAIResponses
from tasks.llm.sse import DONE
from tasks.llm.stream import Send, Stream, chat
from tasks.llm.thoughts import Expectation
from tasks.ports import Heartbeat
from tasks.types import CloudAnswer, CloudEnd, Health, Usage

NOT_KEPT = "a chat endpoint keeps no answer that could be fetched again"


class ChatCompletions(OpenAIResponses):
    """Implements `CloudModel` over chat completions; parameters as of `OpenAIResponses`. The id that it reports is its
    own, once the first event has come: servers' ids need not differ."""

    def attach(self, response_id: str, heartbeat: Heartbeat) -> CloudAnswer:
        """Nothing is left to fetch."""
        return CloudAnswer(end=CloudEnd.LOST, error=NOT_KEPT, health=Health.UNKNOWN)

    def cancel(self, response_id: str) -> CloudAnswer:
        """The connection is closed by then, which is all that can be done."""
        return CloudAnswer(end=CloudEnd.CANCELLED, error="cancelled")

    def _post(self, body: Mapping[str, Any]) -> Send:
        return chat(body)

    def _follow(
        self, stream: Stream, model: str, on_id: Callable[[str], None], begun: float, heartbeat: Heartbeat
    ) -> CloudAnswer:
        answer, identified = Answer(Expectation(unknown=True), runs_on=True), False
        silence, last = self._first_seconds, time.monotonic()
        heartbeat.expect_silence(silence)
        while True:
            heartbeat.check()
            now = time.monotonic()
            if now - begun > self._answer_seconds:
                why = f"it had not ended after {self._answer_seconds:g} s and was cancelled"
                return CloudAnswer(end=CloudEnd.CANCELLED, model=model, error=why)
            try:
                item = stream.items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if now - last < silence:
                    continue
                item = TimeoutError(f"nothing came back within {silence:g} s")
            if not isinstance(item, dict) or (item.get("error") and not identified):
                if item is None and (whole := self._whole(answer, model, begun)):
                    return whole
                if identified:
                    line = "it hung up in the middle of its answer" if item is None else " ".join(str(item).split())
                    return CloudAnswer(end=CloudEnd.LOST, model=model, error=self._redact(line), health=Health.FAULT)
                return self._unanswered(stream, item)
            if not identified:
                on_id(f"chat_{uuid.uuid4().hex}")
                identified = True
            try:
                tokens = answer.take(item)
            except EngineFault as fault:
                failed, line = CloudEnd.FAILED, self._redact(str(fault))
                return CloudAnswer(end=failed, model=model, error=line, health=Health.FAULT)
            heartbeat.beat(tokens)
            last, silence = time.monotonic(), STREAM_SILENCE_SECONDS
            heartbeat.expect_silence(silence)
            if item is DONE and (whole := self._whole(answer, model, begun)):
                return whole

    @staticmethod
    def _whole(answer: Answer, model: str, begun: float) -> CloudAnswer | None:
        """The answer where its stream has ended; None where it broke off."""
        try:
            result = answer.end()
        except EngineFault as fault:
            said = str(fault)
            broken = "hung up" in said
            return None if broken else CloudAnswer(end=CloudEnd.FAILED, model=model, usage=_usage(answer), error=said)
        cut = answer.finish_reason == "length"
        return CloudAnswer(
            end=CloudEnd.INCOMPLETE if cut else CloudEnd.COMPLETED,
            model=model,
            text=result.text,
            usage=_usage(answer),
            error="incomplete: max_tokens" if cut else "",
            seconds=time.monotonic() - begun,
        )


def _usage(answer: Answer) -> Usage | None:
    """What the server counts; None where it counts nothing, so that the whole reservation is charged."""
    if not {"prompt_tokens", "completion_tokens"} <= answer.usage.keys():
        return None
    return Usage(
        prompt_tokens=answer.usage["prompt_tokens"],
        cached_tokens=answer.usage.get("cached_tokens", 0),
        completion_tokens=answer.usage["completion_tokens"],
    )
