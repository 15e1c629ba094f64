"""Requests to models, the engine's and the cloud's, and their completions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import overload

from tasks.kinds import CloudEnd, EscalationKind, EscalationState, GuardKind, Health, Operator
from tasks.redaction import Redaction
from tasks.types.specs import Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message; `role` is system, user or assistant. `attachments` come before its text."""

    role: str
    content: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a prompt is shortened: `prefix` and `rest` say how often the length limits of its parts are halved, of those
    with which all prompts of a job begin and of those that follow. The problem and its text attachments are whole where
    `problem` is None, and have so many characters together where it is a number."""

    prefix: int = 0
    rest: int = 0
    problem: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Omission:
    """What a prompt leaves out of one of its blocks: `left_out` of its `chars` characters."""

    block: str
    left_out: int
    chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(Sequence[Message]):
    """The messages of one call. All prompts of a job begin with the same `prefix`, and `rest` follows; `attachments`
    are its images and sounds. `problem_chars` are the characters of the whole problem and its text attachments;
    `omissions` is what was left out of it.
    With `asks_code` the answer is one block of Python, with `asks_block` one of any language where it has a block at
    all, with `asks_lines` so many lines."""

    system: str
    prefix: str
    rest: str = ""
    attachments: tuple[Attachment, ...] = ()
    problem_chars: int = 0
    omissions: tuple[Omission, ...] = ()
    asks_code: bool = False
    asks_block: bool = False
    asks_lines: int = 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """As it is sent."""
        return self._with("\n\n".join(part for part in (self.prefix, self.rest) if part))

    @property
    def head(self) -> tuple[Message, ...]:
        """The prompt without its rest."""
        return self._with(self.prefix)

    @property
    def tail(self) -> tuple[Message, ...]:
        """The rest alone."""
        return (Message(role="user", content=self.rest),) if self.rest else ()

    def _with(self, content: str) -> tuple[Message, ...]:
        return (
            Message(role="system", content=self.system),
            Message(role="user", content=content, attachments=self.attachments),
        )

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        return self.messages[index]

    def __len__(self) -> int:
        return len(self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSize:
    """How much of an engine's memory one request may take at most, in tokens: its prompt, which requests with the same
    `messages` share, and its completion, of which `thinking_tokens` are thoughts. So many requests with these messages
    are sent `together`."""

    messages: tuple[Message, ...]
    prompt_tokens: int
    completion_tokens: int
    thinking_tokens: int = 0
    together: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request to a chat model. `choices`, where set, restrict the answer to one of them. `max_tokens` limit the
    answer, `thinking_tokens` the thoughts before it. With `runs_on` an answer that repeats itself is let run on; with
    `asks_code` it ends with its first block of Python that defines something, with `asks_block` with that or the first
    block of another language, with `asks_lines` after so many lines of text."""

    messages: tuple[Message, ...]
    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 64
    max_tokens: int = 1024
    seed: int = 0
    choices: tuple[str, ...] = ()
    thinking_tokens: int = 0
    runs_on: bool = False
    asks_code: bool = False
    asks_block: bool = False
    asks_lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardHit:
    """A degenerate stretch: `at_char` is where its first copy begins, `period_chars` the length of one copy, and `unit`
    the beginning of one."""

    kind: GuardKind
    at_char: int
    copies: int
    period_chars: int
    unit: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer of a chat model. Where `guard` is set, `text` is already cut back to before the first copy. Where
    `let_through` is, the text is whole, and repeats itself there.

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
    let_through: GuardHit | None = None
    usd: Decimal = Decimal(0)
    engine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one response. `prompt_tokens` include the `cached_tokens`, `completion_tokens` the thoughts."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAnswer:
    """What came of a request to the cloud. `usage` is None where the cloud reported none; `error` is one line; `health`
    is what it says of the provider. Where it is `busy`, it may be sent again after `retry_seconds`, if the provider
    names them."""

    end: CloudEnd
    model: str = ""
    text: str = ""
    usage: Usage | None = None
    error: str = ""
    seconds: float = 0.0
    health: Health = Health.WELL
    retry_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a local call may take at most: tokens of its answer, and seconds of the engine, after which it is cut; None
    where no limit says."""

    completion_tokens: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPlan:
    """A request to the cloud before it is sent: `kind` is what it asks for, `request` its JSON, byte for byte,
    `provider` the host that it is for, `omissions` what its prompt leaves out, `redactions` the secrets that were taken
    out of it; the other fields are its costliest outcome."""

    model: str
    request: str
    usd: Decimal
    prompt_tokens: int
    completion_tokens: int
    omissions: tuple[Omission, ...] = ()
    kind: EscalationKind = EscalationKind.ANSWER
    redactions: tuple[Redaction, ...] = ()
    provider: str = ""

    @property
    def request_hash(self) -> str:
        """SHA-256, in hex, of the request's canonical JSON: keys sorted, no letter escaped."""
        canonical = json.dumps(json.loads(self.request), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationRecord:
    """An escalation as it is stored. `completion` is set where it is done; `open` says that it is not settled yet;
    `faults` counts the turns in a row that ended in a fault of a service.

    `tries` is how often it was about to be sent, `refusals` how often the provider did not take it; one that waits is
    sent after `wait_seconds`, for the reason `error`, and has waited `waited_seconds` in all.
    """

    plan: CloudPlan
    state: EscalationState
    open: bool
    faults: int = 0
    response_id: str | None = None
    completion: Completion | None = None
    error: str = ""
    tries: int = 0
    refusals: int = 0
    wait_seconds: float = 0.0
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CallKey:
    """The journal's key of one model call, beside its job.

    A judge's calls have the name of the `check`, the number of the `vote` from 1, and the vote's `step`, a report or a
    verdict; the three are empty for all other calls. `attempt` counts from 1.
    """

    iteration: int
    operator: Operator
    slot: int
    attempt: int
    step: str = ""
    check: str = ""
    vote: int = 0
