"""One answer, put together from the events of its stream while the guard watches. It must not know how they arrive.

What no model writes (an answer in the field for thoughts, a call of a tool that nobody offered, nothing at all) is a
fault of the engine: a candidate is never blamed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.errors import AnswerInReasoning, EngineFault
from tasks.llm.completeness import AnswerEnd
from tasks.llm.deltas import BROKEN_OFF, REPEATED_CHARS, Delta, Increments, deltas, usage
from tasks.llm.guard import engine_hit
from tasks.llm.responsebody import error_message
from tasks.llm.splitting import ThoughtSplitter, apart, muses
from tasks.llm.sse import DONE
from tasks.llm.thoughts import Expectation
from tasks.types import GuardHit

# An answer that was broken off by its limit of tokens, by the guard, by the engine's own, or by the job's hours.
CUT = frozenset({"length", "guard", "repetition", "deadline"})
IN_REASONING = (
    "answered in its reasoning field only: its reasoning parser takes the answer for thoughts; "
    "start it with the parser of its model, or without one"
)
BY_TOOL = "answered by a call of a tool that nobody offered; start it without a parser of tool calls"
NOTHING = "sent an empty answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An answer that has ended: its text, cut back to before a loop; its thoughts; the loop, or else the one that was
    let through."""

    text: str
    thoughts: str
    hit: GuardHit | None
    let_through: GuardHit | None


class Answer:
    """What has arrived so far. `deltas` counts the events that brought text or thoughts, `usage` is what the server
    counts; `expected` says where this request's thoughts are to be. With `runs_on` its text may repeat itself; it is
    complete where `end` finds that all is there that was asked for. `heard` is told what arrives: text, thoughts, and
    whether the text takes the place of all before."""

    def __init__(
        self,
        expected: Expectation,
        *,
        runs_on: bool = False,
        end: Callable[[], AnswerEnd | None] = lambda: None,
        heard: Callable[[str, str, bool], None] = lambda text, thought, anew: None,
    ) -> None:
        self.finish_reason, self.deltas, self.usage = "", 0, dict[str, int]()
        self._expected, self._runs_on = expected, runs_on
        self._split = self._splitter()
        self._new_end, self._end, self._heard = end, end(), heard
        self._end_char: int | None = None
        self._increments, self._thought_increments = Increments(), Increments()
        self._received, self._done, self._calls_tool, self._field = "", False, False, False

    @property
    def hit(self) -> GuardHit | None:
        """A loop in the text, or else in the thoughts."""
        return self._split.answer.guard.hit or self._split.thought.guard.hit

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is there, whatever else the model would write."""
        return self._end_char is not None

    @property
    def thinks_apart(self) -> bool:
        """Whether it has text, and thoughts in a field of their own."""
        return self._field and bool(self._received)

    @property
    def closed_alone(self) -> bool:
        """Whether its thoughts had only a closing mark: the chat template opens them in the prompt."""
        return self._split.closed_alone

    def take(self, event: Mapping[str, Any]) -> int:
        """Adds one event; returns how many tokens (deltas) it brought. Raises `EngineFault` where it is an error, or no
        part of an answer."""
        if event is DONE:
            self._done = True
            return 0
        if event.get("error") or event.get("object") == "error":
            raise EngineFault(f"failed: {error_message(event)}")
        try:
            self.usage = usage(event) or self.usage
            tokens = sum(self._add(delta) for delta in deltas(event))
        except (AttributeError, TypeError, ValueError) as error:
            raise EngineFault("sent an event that is no part of an answer") from error
        self.deltas += tokens
        return tokens

    def end(self, finish_reason: str = "") -> Result:
        """The stream has ended, or was ended for this reason. Raises `EngineFault` where it brought no answer."""
        self.finish_reason = self._reason(finish_reason)
        cut, expected = self.finish_reason in CUT, self._expected
        musing = cut and not self._field and (expected.thinks or (expected.unknown and muses(self._split.answer.text)))
        self._split.finish(cut=cut, choice=bool(expected.choices), musing=musing)
        self._split.answer.guard.finish(at_limit=self.finish_reason == "length")
        self._split.thought.guard.finish()
        if self.hit is not None and self.finish_reason not in CUT:
            self.finish_reason = "guard"
        return self._result()

    def _reason(self, given: str) -> str:
        if self.hit is not None:
            return "guard"
        if given:
            return given
        if self.complete:
            return "stop"
        if broken_off := BROKEN_OFF.get(self.finish_reason.lower()):
            raise EngineFault(broken_off)
        if self._calls_tool:
            raise EngineFault(BY_TOOL)
        if not self.finish_reason and not self._done:
            raise EngineFault("hung up in the middle of an answer")
        # One token and no text: the model itself ended before its first word.
        if not self.deltas and self.usage.get("completion_tokens") != 1:
            raise EngineFault(NOTHING)
        return self.finish_reason or "stop"

    def _result(self) -> Result:
        hit, looped = self.hit, self._split.answer.guard.hit
        text = self._split.cut_answer(looped.at_char if looped else self._end_char)
        thoughts = self._split.thought.text
        if self.finish_reason == "repetition":
            hit = engine_hit(text or thoughts)
            text = text[: hit.at_char]
        elif not text.strip() and self._field and self.finish_reason not in CUT:
            text, thoughts = self._swallowed(thoughts)
        let_through = None if hit else self._split.answer.guard.let_through
        return Result(text=_sound(text), thoughts=_sound(thoughts).strip(), hit=hit, let_through=let_through)

    def _swallowed(self, thoughts: str) -> tuple[str, str]:
        """The answer that a parser took for thoughts, where it is sure that it is one."""
        text, inner = apart(thoughts)
        if inner and text.strip():
            return text, inner
        if self._expected.in_reasoning or thoughts.strip() in self._expected.choices:
            return thoughts, ""
        if self._expected.thinks:
            return "", thoughts  # it may have ended after its thoughts; it is asked again without them
        raise AnswerInReasoning(IN_REASONING)

    def _splitter(self) -> ThoughtSplitter:
        return ThoughtSplitter(prompt_opens=self._expected.prompt_opens, runs_on=self._runs_on)

    def _add(self, delta: Delta) -> int:
        self.finish_reason = delta.finish_reason or self.finish_reason
        self._calls_tool |= delta.calls_tool
        repeated = len(delta.text) > REPEATED_CHARS and delta.text == self._received and bool(delta.finish_reason)
        if self.deltas and (delta.whole or repeated):
            return 0
        replaces, text = self._increments.new(delta.text)
        if replaces:
            self._received, self._split = "", self._splitter()
            self._end = self._new_end()
        _, thought = self._thought_increments.new(delta.thought)
        self._heard(text, thought, replaces)
        self._received += text
        self._think(thought)
        self._split.feed(text)
        if self._end and "\n" in text and not self.complete:
            self._end_char = self._find_end(self._end)
        return bool(text or thought)

    def _find_end(self, end: AnswerEnd) -> int | None:
        """None, too, while the text may be thoughts without an opening mark, in which a sketch is no answer."""
        found = end.feed(self._split.answer.text)
        expected = self._expected
        may_think = not self._field and (expected.thinks or (expected.unknown and muses(self._split.answer.text)))
        return None if may_think else found

    def _think(self, thought: str) -> None:
        """Thoughts in a field of their own: those in the text are not opened by the prompt then."""
        if thought and not self._field:
            self._field = True
            self._split.expect_answer()
        self._split.thought.add(thought)


def _sound(text: str) -> str:
    """With the halves of characters joined that two events brought as JSON escapes; half a character is unknown."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
