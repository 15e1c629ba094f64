"""Separates thoughts from the answer while it streams. It must not know servers, requests or events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import regex

from tasks.llm.guard import Guard
from tasks.llm.markers import ANY_CLOSING, CLOSINGS, ENDS, HEADS, OPENINGS, TURNS

QUOTES = frozenset("'\"`“”‘’")
FENCE = regex.compile(r"^[ \t]*(?:```|~~~)", regex.MULTILINE)
# How models begin to think aloud.
MUSING = regex.compile(
    r"\A\s*(?:okay|ok|alright|hmm+|wait|let me|let's (?:think|see)|(?:so )?(?:we|i) (?:need|have) to"
    r"|(?:so )?the user|thinking process)\b",
    regex.IGNORECASE,
)


@dataclass(slots=True)
class Channel:
    """A text as far as it has arrived, and the guard that watches it."""

    text: str = ""
    guard: Guard = field(default_factory=Guard)

    def add(self, piece: str) -> None:
        """The next piece."""
        self.text += piece
        self.guard.feed(piece)


class ThoughtSplitter:
    """Divides a stream into an `answer` and a `thought`.

    Thoughts are what stands between a model's marks (`markers`), or before a closing mark alone. Where the prompt
    opens them, everything counts as thought until a mark closes them. With `runs_on` the answer's guard lets it run on.
    """

    def __init__(self, *, prompt_opens: bool = False, runs_on: bool = False) -> None:
        self._runs_on = runs_on
        self.answer, self.thought = Channel(guard=Guard(runs_on=runs_on)), Channel()
        self.closed_alone = False  # a closing mark came without an opening one
        self.marked = False  # any mark came
        self._prompt_opens = prompt_opens
        self._pending = ""  # may be the beginning of a mark
        self._leading = True  # no answer yet, only space and thoughts
        self._closing: Any = None  # what ends the thought that is open
        self._opening = ""  # the mark of an open thought in the middle of an answer
        self._opened_at = 0  # where it begins in the thought

    def feed(self, piece: str) -> None:
        """The next piece of what the server sends as the answer."""
        self._pending += piece
        self._advance(final=False)

    def finish(self, *, cut: bool, choice: bool = False, musing: bool = False) -> None:
        """The stream has ended: `cut` short, or by the model. The answer to a `choice` has no thoughts; `musing` says
        that a text which was cut may be thoughts without marks."""
        self._advance(final=True)
        if self._closing is not None and self._opening and not cut:
            self._restore()
        elif self._closing is ANY_CLOSING and choice:
            self._swap()
        elif cut and musing and not self.marked and not choice:
            self.recast()

    def expect_answer(self) -> None:
        """Thoughts arrive apart: the text does not begin within them."""
        self._prompt_opens = False
        if self._closing is ANY_CLOSING:
            self._closing, self._leading = None, False
            self._swap()

    def recast(self) -> None:
        """What counted as answer was thought."""
        self.thought.text += self.answer.text
        self.thought.guard, self.answer = self.answer.guard, Channel(guard=Guard(runs_on=self._runs_on))
        self.thought.guard.runs_on = False

    def cut_answer(self, at_char: int | None) -> str:
        """The answer up to a character, without the tokens that end it."""
        text = self.answer.text if at_char is None else self.answer.text[:at_char]
        return ENDS.sub("", text) if self.marked else text

    def _swap(self) -> None:
        self.answer, self.thought = self.thought, self.answer
        self.answer.guard.runs_on, self.thought.guard.runs_on = self._runs_on, False

    def _restore(self) -> None:
        """A mark in the middle of an answer that is never closed was part of it."""
        self.answer.add(self._opening + self.thought.text[self._opened_at :])
        self.thought.text = self.thought.text[: self._opened_at]

    def _advance(self, *, final: bool) -> None:
        while self._pending and self._step(final):
            pass

    def _step(self, final: bool) -> bool:
        """Handles the next part of what is pending; False where more must arrive first."""
        if self._closing is not None:
            return self._in_thought(final)
        return self._at_start(final) if self._leading else self._in_answer(final)

    def _at_start(self, final: bool) -> bool:
        body = self._pending.lstrip()
        for pattern in (HEADS, OPENINGS):
            match = pattern.match(body, partial=not final)
            if match is not None and match.partial and (body or not final):
                return False
            if match is not None:
                self.marked, self._pending = True, body[match.end() :]
                if pattern is OPENINGS:
                    self._closing = CLOSINGS[_number(match)]
                return True
        if self.marked:
            self._pending = body
        if self._prompt_opens and not self.marked:
            self._closing = ANY_CLOSING
        else:
            self._leading = False
        return bool(self._pending)

    def _in_thought(self, final: bool) -> bool:
        match = self._closing.search(self._pending, partial=not final)
        if match is None:
            self._take(self.thought, len(self._pending))
            return False
        if match.partial or self._undecided(match, final):
            self._take(self.thought, match.start())
            return False
        if self._quoted(self.thought.text, match):
            self._take(self.thought, match.end())
            return True
        self._take(self.thought, match.start())
        self._pending = self._pending[match.end() - match.start() :]
        self.closed_alone |= self._closing is ANY_CLOSING
        self.marked, self._closing, self._opening = True, None, ""
        return True

    def _in_answer(self, final: bool) -> bool:
        last = self.answer.text[-1:]
        match = TURNS.search(last + self._pending, len(last), partial=not final)
        if match is None:
            self._take(self.answer, len(self._pending))
            return False
        start, end = match.start() - len(last), match.end() - len(last)
        if match.partial or self._undecided(match, final, len(last)):
            self._take(self.answer, start)
            return False
        self._take(self.answer, start)
        mark, length = self._pending[: end - start], end - start
        if self._mentioned(mark, str(match.lastgroup), self._pending[length : length + 1]):
            self._take(self.answer, length)
            return True
        self._pending = self._pending[length:]
        self._turn(mark, match)
        return True

    def _turn(self, mark: str, match: Any) -> None:
        """A mark in the middle of what counted as answer."""
        if match.lastgroup == "closing":
            self.recast()
            self.closed_alone = self._leading = True
        elif match.lastgroup != "head":
            self._closing, self._opening = CLOSINGS[_number(match)], mark
            self._opened_at = len(self.thought.text)
        self.marked = True

    def _mentioned(self, mark: str, group: str, after: str) -> bool:
        """Whether a mark is only spoken of: quoted, within code, or the second of a pair within the answer."""
        before, line = self.answer.text, self.answer.text.rpartition("\n")[2]
        if _is_quoted(before, after) or line.count("`") % 2:
            return True
        if before[-1:] == " " and before[-2:-1].isalnum() and after and after in " ,.;:)":
            return True  # a word of a sentence
        alone = not line.strip() and after in ("\n", "")
        if len(FENCE.findall(before)) % 2 and not (group == "closing" and alone):
            return True
        if group != "closing":
            return False
        # A thought that was split off already, or a pair that the answer itself writes.
        return self.marked or (before.count(mark.replace("/", "")) > before.count(mark) and not alone)

    def _quoted(self, before: str, match: Any) -> bool:
        return _is_quoted(before + self._pending[: match.start()], self._pending[match.end() : match.end() + 1])

    def _undecided(self, match: Any, final: bool, offset: int = 0) -> bool:
        """Whether the character after a mark, which says if it is quoted, has not arrived."""
        return not final and match.end() - offset == len(self._pending) and match.end() > match.start()

    def _take(self, channel: Channel, length: int) -> None:
        channel.add(self._pending[:length])
        self._pending = self._pending[length:]


def _number(match: Any) -> int:
    """Of the marker whose opening mark was found."""
    return int(match.lastgroup[1:])


def muses(text: str) -> bool:
    """Whether a text begins as models begin to think aloud."""
    return MUSING.match(text) is not None


def _is_quoted(before: str, after: str) -> bool:
    opened = before[-1:] in QUOTES or before.endswith(("\\n", "\\s*"))
    return opened and (after in QUOTES or after == "\\") and after != ""


def apart(text: str) -> tuple[str, str]:
    """The answer and the thoughts of a whole text. Thoughts that never end leave an empty answer."""
    splitter = ThoughtSplitter()
    splitter.feed(text)
    splitter.finish(cut=False)
    return splitter.cut_answer(None), splitter.thought.text.strip()
