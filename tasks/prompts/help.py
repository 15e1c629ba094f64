"""Which prompt asks a stronger model for which kind of help. Pure; must not know whom it is sent to."""

from __future__ import annotations

from typing import assert_never

from tasks.prompts import build
from tasks.types import EscalationKind, Job, Prompt


def ask(job: Job, kind: EscalationKind) -> Prompt:
    """All that is sent with an escalation of this kind; held-out checks are in none of them."""
    match kind:
        case EscalationKind.HINT:
            return build.hint(job)
        case EscalationKind.HINT_ON_BEST:
            return build.hint_on_best(job)
        case EscalationKind.ANSWER:
            return build.escalate(job)
        case _:
            assert_never(kind)
