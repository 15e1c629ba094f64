"""The prompt of a mutation: a parent with its value, what was made of it before, and other answers to learn from. Pure;
must not know why this parent was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.edits import Body, body_of
from tasks.jobfiles import shown_text
from tasks.policy import is_unapplied
from tasks.prompts import build
from tasks.prompts.layout import CANDIDATE_CHARS, CHANGED_CHARS, FEEDBACK_CHARS, WHOLE, Shortener, fence, shorten
from tasks.prompts.plans import plan
from tasks.prompts.prefix import has_check
from tasks.prompts.redact import feedback, measured, values, visible_failures
from tasks.scoring import SCORE
from tasks.types import Candidate, Cut, Job, Prompt

# Of the parent: who has not read all of it can neither edit it nor write it again.
PARENT_CHARS = 2 * CANDIDATE_CHARS
# Earlier changes of the same parent that are listed, the last ones.
TRIED = 4
TRIED_CHARS = 200
# What changes of one parent are told to do, in turn: a small model that is told nothing makes the same change again.
DIRECTIONS = (
    "find the part that costs it most, and do better there",
    "replace one of its methods by a stronger one",
    "keep its methods and set its numbers, limits or order of steps better",
    "add a step that it lacks, such as a second pass that improves what the first one made",
    "take over what makes another answer good, or what nobody has tried",
)
_FILES = (
    "Shown are the files that the answer changed, as they are now; all others are as the problem has them. Write those "
    "that you change now."
)
_WHOLE = "Write the whole answer again with that change, in the form that it has above."
_EDITS = (
    "Write that change as edits and nothing else. Each edit has this form:\n"
    "<<<<<<< SEARCH\nlines of the answer, exactly as they stand there\n=======\n"
    "the lines that take their place\n>>>>>>> REPLACE\n"
    "The SEARCH lines must stand in the answer exactly once: take a few whole lines, and not all of them. "
    "Write the edits now."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of `parent`: the `number`-th of all, after those that came of `tried`. `inspirations` are shown beside
    it, and with `edits` it is to be written as search/replace blocks. `direction` says what to do instead of what is
    the number's turn."""

    parent: Candidate
    number: int = 1
    tried: Sequence[Candidate] = ()
    inspirations: Sequence[Candidate] = ()
    edits: bool = False
    direction: str = ""


def mutate(job: Job, change: Change, *, cut: Cut = WHOLE) -> Prompt:
    """Asks for a better answer than the parent, whole or as edits of it."""

    def shown(shortener: Shortener) -> Sequence[str]:
        return (
            _answer(job, change.parent, shortener, "# The answer", of=1),
            *_others(job, change.inspirations, shortener),
            _tried(job, change.tried),
        )

    better = "reaches a better value" if has_check(job, SCORE) else "comes nearer to what the checks demand"
    role = (
        "# Task\nBelow is an answer to the problem above, with what is known of it. Make one change to it after which "
        f"it {better}."
    )
    direction = change.direction or DIRECTIONS[(change.number - 1) % len(DIRECTIONS)]
    form = _FILES if job.spec.files else _EDITS if change.edits else _WHOLE
    order = f"Change {change.number} of this answer: {direction}. {form}"
    return build.change(job, role, shown, order, whole=not change.edits, cut=cut)


def _answer(job: Job, candidate: Candidate, shortener: Shortener, title: str, *, of: int) -> str:
    """One of so many answers, which share the room of a parent; with its values and what the checks say."""
    chars = CHANGED_CHARS if job.spec.files else PARENT_CHARS
    body, name = _body(job, candidate), f"candidate {candidate.ref}"
    text = shortener.shorten(name, body.text, shortener.in_rest(chars // of))
    known = "\n\n".join(filter(None, (measured(job, candidate, shortener), feedback(job, candidate, shortener))))
    said = shortener.shorten(f"what is known of {name}", known, shortener.in_rest(2 * FEEDBACK_CHARS // of))
    return f"{title}\n{fence(text, body.label or '')}" + (f"\n\n{said}" if said else "")


def _body(job: Job, candidate: Candidate) -> Body:
    """What a candidate is shown as: without the prose around its code, or the files that it changed."""
    return Body(text=shown_text(job, candidate).strip()) if job.spec.files else body_of(candidate.text)


def _others(job: Job, candidates: Sequence[Candidate], shortener: Shortener) -> Sequence[str]:
    """Half the room of a parent for all of them."""
    share = 2 * max(1, len(candidates))
    return [_answer(job, one, shortener, "# Another answer, to learn from", of=share) for one in candidates]


def _tried(job: Job, candidates: Sequence[Candidate]) -> str:
    """What the last changes of the parent came to, a line each."""
    last = [one for one in candidates if one.guard is None and one.text.strip()][-TRIED:]
    lines = [f"- {_outcome(job, one)}" for one in last]
    return "# Changes of it that were tried before\n" + "\n".join(lines) if lines else ""


def _outcome(job: Job, candidate: Candidate) -> str:
    """Its plan, unless it is edits that don't apply, and its values or its failure."""
    failures = [" ".join(text.split()) for text in visible_failures(job, [candidate])]
    result = (failures or [values(job, candidate) or "no better"])[0]
    line = result if is_unapplied(candidate) else f"{plan(candidate.text)}: {result}"
    return shorten(line, TRIED_CHARS).replace("\n", " ")
