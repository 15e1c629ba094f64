"""What is asked of models, of the engine's and the cloud's, and what they give back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tasks.types.kinds import CloudEnd, EscalationState, GuardKind, Operator
from tasks.types.specs import Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message; `role` is system, user or assistant. `attachments` come before its text."""

    role: str
    content: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How often the limits of a prompt's parts are halved: of its `prefix`, with which all prompts of a job begin, and
    of the `rest`, which is left out where that is None."""

    prefix: int = 0
    rest: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSize:
    """What one request takes of an engine's memory at its worst, in tokens: its prompt, which requests with the same
    messages have in common, and what it may write."""

    messages: tuple[Message, ...]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request to a chat model. `choices`, where given, restricts the answer to one of them. `max_tokens` bound the
    answer, `thinking_tokens` the thoughts before it."""

    messages: tuple[Message, ...]
    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 64
    max_tokens: int = 1024
    seed: int = 0
    choices: tuple[str, ...] = ()
    thinking_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardHit:
    """A degenerate stretch: `at_char` is where its first copy begins, `period_chars` the length of one copy."""

    kind: GuardKind
    at_char: int
    copies: int
    period_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a chat model gave back. Where `guard` is set, `text` is already cut back to before the first copy.

    `finish_reason` is the engine's own word (stop, length, repetition), or `guard` where we cancelled it.
    """

    text: str
    finish_reason: str
    model: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float
    reasoning: str = ""
    guard: GuardHit | None = None
    usd: Decimal = Decimal(0)
    engine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one response; `cached_tokens` are among the `prompt_tokens`, thoughts among the completion's."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAnswer:
    """What came of a request to the cloud. `usage` is None where the cloud told none; `error` is one line."""

    end: CloudEnd
    model: str = ""
    text: str = ""
    usage: Usage | None = None
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPlan:
    """A request that is about to be made: `request` is its JSON, exactly what is sent; the rest its most costly
    outcome."""

    model: str
    request: str
    usd: Decimal
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationRecord:
    """An escalation as it is stored. `made` is the answer of one that is done; `open` says that it is still to be
    settled; `faults` counts the turns in a row that ended in a fault of a service."""

    plan: CloudPlan
    state: EscalationState
    open: bool
    faults: int = 0
    response_id: str | None = None
    made: Completion | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CallKey:
    """The journal's key of one model call, beside its job.

    A judge's calls bear the name of the `check`, the number of the `vote` from 1, and the vote's `step`, a report or a
    verdict; the three are empty for all other calls. `attempt` counts from 1.
    """

    iteration: int
    operator: Operator
    slot: int
    attempt: int
    step: str = ""
    check: str = ""
    vote: int = 0
