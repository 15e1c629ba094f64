"""Candidates that are still the edits which their author wrote, since they don't apply to their parent. Pure."""

from __future__ import annotations

from tasks.edits import EditError, edited, has_edits
from tasks.types import Candidate, Operator


def is_unapplied(candidate: Candidate) -> bool:
    """Whether a candidate is edits, and no answer."""
    return candidate.operator is Operator.EDIT and has_edits(candidate.text)


def refusal(candidate: Candidate, parent: Candidate) -> str:
    """Why the edits of a candidate don't apply to its parent, in a sentence; empty where it is an answer."""
    if not is_unapplied(candidate):
        return ""
    try:
        edited(candidate.text, parent.text)
    except EditError as error:
        return str(error)
    return ""
