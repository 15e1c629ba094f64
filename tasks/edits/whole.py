"""A whole answer with the edits that another text asks for. Pure; must not know who wrote either."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.edits.applying import apply_edits
from tasks.edits.blocks import EditError, read_edits
from tasks.markdown import blocks_of

# Characters from which on a body is neither varied nor repaired without a model.
LONGEST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What of an answer is edited: the inside of its one code block, or all of it. `label` is what stands after the
    fence that opens the block, None where there is none."""

    text: str
    label: str | None = None

    def answer(self, text: str) -> str:
        """An answer of the same form whose body is `text`."""
        if self.label is None:
            return text
        longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
        ticks = "`" * (longest + 1)
        return f"{ticks}{self.label}\n{text.rstrip()}\n{ticks}\n"


def body_of(answer: str) -> Body:
    """The inside of the only code block of an answer, without the prose around it; the whole answer where it has none,
    or several."""
    blocks = blocks_of(answer)
    if len(blocks) == 1 and blocks[0].closed:
        return Body(text=blocks[0].content.rstrip("\n"), label=blocks[0].label)
    return Body(text=answer.strip())


def edited(written: str, answer: str) -> str:
    """The answer with all search/replace blocks of the text `written` applied to its body. A text without any is a
    whole answer itself.

    Raises `EditError` where one is incomplete or does not fit at exactly one place, and where all together change
    nothing.
    """
    edits = read_edits(written)
    if not edits:
        return written
    body = body_of(answer)
    text = apply_edits(body.text, edits)
    if text == body.text:
        raise EditError("The edits change nothing.")
    return body.answer(text)


def has_edits(text: str) -> bool:
    """Whether a text has search/replace blocks, be they complete or not."""
    try:
        return "SEARCH" in text and bool(read_edits(text))
    except EditError:
        return True
