"""An answer changed by search/replace blocks, as aider and AlphaEvolve (arXiv 2506.13131) have them: each is checked to
apply exactly once, and all apply or none. Pure; must not know who wrote them, nor how an answer is judged."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.types import Candidate, Operator
from tasks.validators.extraction.blocks import blocks_of, lines_of

SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
# Models miscount the marks and forget their words.
_SEARCH = re.compile(r"^<{5,9}(?: *(?:SEARCH|ORIGINAL|HEAD))? *:?$")
_DIVIDER = re.compile(r"^={5,9}$")
_REPLACE = re.compile(r"^>{5,9}(?: *(?:REPLACE|UPDATED))? *:?$")


class EditRefused(ValueError):
    """Edits that can't be applied as they are written; the text says which of them, and why."""


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


@dataclass(frozen=True, slots=True)
class _Edit:
    search: Sequence[str]
    replace: Sequence[str]


def body_of(answer: str) -> Body:
    """The inside of the only code block of an answer, without the prose around it; the whole answer where it has none,
    or several."""
    blocks = blocks_of(answer)
    if len(blocks) == 1 and blocks[0].closed:
        return Body(text=blocks[0].content.rstrip("\n"), label=blocks[0].label)
    return Body(text=answer.strip())


def edited(written: str, parent: str) -> str:
    """The answer `parent` with the edits that `written` asks for. A text without edits is a whole answer itself.

    Raises `EditRefused` where an edit is incomplete, or its SEARCH lines are not there exactly once, or two edits touch
    the same lines, or nothing changes. White space at the ends of lines is ignored.
    """
    if not has_edits(written):
        return written
    body = body_of(parent)
    lines = lines_of(body.text)
    changed = _applied(_edits(written), lines)
    if changed == [line.rstrip() for line in lines]:
        raise EditRefused("the edits change nothing")
    return body.answer("\n".join(changed))


def has_edits(text: str) -> bool:
    """Whether an edit begins in the text."""
    return any(_SEARCH.match(line.strip()) for line in lines_of(text))


def is_unapplied(candidate: Candidate) -> bool:
    """Whether a candidate is still the edits that its author wrote, since they don't apply to its parent."""
    return candidate.operator is Operator.EDIT and has_edits(candidate.text)


def refusal(candidate: Candidate, parent: str) -> str:
    """Why the edits of a candidate don't apply to the answer `parent`; empty where it is a whole answer."""
    if not is_unapplied(candidate):
        return ""
    try:
        edited(candidate.text, parent)
    except EditRefused as refused:
        return str(refused)
    return ""


def _edits(written: str) -> Sequence[_Edit]:
    edits: list[_Edit] = []
    search: list[str] = []
    replace: list[str] | None = None
    within = False
    for line in map(str.rstrip, lines_of(written)):
        mark = line.strip()
        if _SEARCH.match(mark):
            if within:
                break
            within, search, replace = True, [], None
        elif within and replace is None and _DIVIDER.match(mark):
            replace = []
        elif within and replace is not None and _REPLACE.match(mark):
            edits.append(_Edit(_trimmed(search), replace))
            within = False
        elif within:
            (search if replace is None else replace).append(line)
    if within:
        missing = DIVIDER if replace is None else REPLACE
        raise EditRefused(f"edit {len(edits) + 1} is not complete: its line `{missing}` is missing")
    return edits


def _applied(edits: Sequence[_Edit], lines: Sequence[str]) -> list[str]:
    """The lines with all edits, each of which is sought in the lines as they were."""
    bare = [line.rstrip() for line in lines]
    places: list[tuple[int, int, _Edit]] = []
    for number, edit in enumerate(edits, 1):
        which = f"edit {number} of {len(edits)}"
        if not edit.search:
            raise EditRefused(f"{which} has no SEARCH lines")
        size = len(edit.search)
        found = [at for at in range(len(bare) - size + 1) if bare[at : at + size] == list(edit.search)]
        if len(found) != 1:
            times = f"{len(found)} times" if found else "not"
            raise EditRefused(f"{which}: its SEARCH lines are {times} in the answer, they must be there exactly once")
        places.append((found[0], found[0] + size, edit))
    places.sort(key=lambda place: place[0])
    for (_, end, _), (begin, _, _) in itertools.pairwise(places):
        if begin < end:
            raise EditRefused("two edits touch the same lines")
    for begin, end, edit in reversed(places):
        bare[begin:end] = edit.replace
    return bare


def _trimmed(lines: Sequence[str]) -> Sequence[str]:
    """Without empty lines at either end."""
    full = [number for number, line in enumerate(lines) if line]
    return lines[full[0] : full[-1] + 1] if full else ()
