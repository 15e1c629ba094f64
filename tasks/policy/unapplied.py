"""Candidates that are still the edits which their author wrote, since they don't apply to their parent. Pure."""

from __future__ import annotations

from tasks.edits import has_edits
from tasks.types import Candidate, Operator


def is_unapplied(candidate: Candidate) -> bool:
    """Whether a candidate is edits, and no answer."""
    return candidate.operator is Operator.EDIT and has_edits(candidate.text)
