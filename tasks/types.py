"""The values of the domain: frozen, slotted, keyword-only. No behaviour that needs I/O, a clock or a library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, assert_never


class JobState(StrEnum):
    """States of a job; the last five are final."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    ACCEPTED = "accepted"
    UNSOLVED = "unsolved"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether the job will never run again by itself."""
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)


class Lane(StrEnum):
    """Where a step runs: the 31B model, the small model, deterministic checks, the cloud."""

    GPU = "gpu"
    FAST = "fast"
    CHECK = "check"
    CLOUD = "cloud"


class Operator(StrEnum):
    """What made a candidate, or what a model call was for."""

    DRAFT = "draft"
    REVIEW = "review"
    REVISE = "revise"
    RESTART = "restart"
    ESCALATE = "escalate"
    JUDGE = "judge"
    DISTIL = "distil"


class Egress(StrEnum):
    """How much of a job may leave for the cloud."""

    NEVER = "never"
    HINT = "hint"
    FULL = "full"


class Acceptance(StrEnum):
    """What an acceptance rests on: deterministic checks, or judges only."""

    VERIFIED = "verified"
    JUDGED = "judged"


class GuardKind(StrEnum):
    """Which net caught a degenerate text."""

    CYCLE = "cycle"
    COMPRESSION = "compression"
    TEMPLATE = "template"
    ENGINE = "engine"  # the engine's own repetition detection ended it


class Modality(StrEnum):
    """What a model takes beside, or instead of, text."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"


class LessonKind(StrEnum):
    """What a lesson rests on: an answer that deterministic checks accepted, or failures that they explained."""

    SUCCESS = "success"
    FAILURE = "failure"


class EscalationKind(StrEnum):
    """What the cloud model is asked for."""

    ANSWER = "answer"


class EscalationState(StrEnum):
    """Where one request to the cloud stands. Nothing has left in `refused` and `unsent`."""

    INTENT = "intent"  # committed before the request; found again without an id, it may have been received
    UNSENT = "unsent"  # the cloud could not be reached, and no byte of the request left
    RUNNING = "running"  # the cloud's id is committed, and a restart fetches by it
    DONE = "done"
    FAILED = "failed"  # rejected, failed, incomplete or cancelled: there is no answer
    REFUSED = "refused"  # the budget can't pay for it
    UNKNOWN = "unknown"  # nobody can say whether it was answered: charged in full, never sent again


class CloudEnd(StrEnum):
    """How a request to the cloud ended: the Responses API's own words, and two of ours."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # an HTTP error that says the request was not taken
    LOST = "lost"  # it may have been taken, and there is nothing to fetch it by


# ── what a user asks for ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """One check of a job, self-contained: the contents of its files travel with it.

    `name` is unique in the job (for example `python:hidden.py`); `value` is the validator's own
    JSON value; `files` maps file names to their text.
    """

    name: str
    kind: str
    value: Any
    held_out: bool = False
    timeout_seconds: float = 10.0
    memory_mb: int = 512
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a job may spend at most: US dollars, wall hours since its start, iterations, tokens in + out."""

    usd: Decimal = Decimal("2.00")
    hours: float = 4.0
    iterations: int = 30
    tokens: int = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of a job, named by its content: `sha256` in hex, `media_type` such as image/png, its size in bytes.

    `owner` is known once it is stored: a worker reads it as a file of this owner, never of another.
    """

    name: str
    media_type: str
    sha256: str
    bytes: int
    owner: str = ""

    @property
    def modality(self) -> Modality:
        """What a model must take to be given it; text goes into the prompt and needs nothing."""
        return Modality(self.media_type.partition("/")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A validated job, ready to be stored. `memory` False: it recalls no lessons and leaves none."""

    title: str
    problem: str
    checks: tuple[CheckSpec, ...]
    budget: Budget = field(default_factory=Budget)
    strategy: str = "correct"
    lane: Lane = Lane.GPU
    egress: Egress = Egress.FULL
    priority: int = 0
    tags: tuple[str, ...] = ()
    seed: int = 0
    key: str | None = None
    memory: bool = True
    attachments: tuple[Attachment, ...] = ()

    @property
    def modalities(self) -> frozenset[Modality]:
        """What a model must take to work on it."""
        return frozenset({Modality.TEXT, *(attachment.modality for attachment in self.attachments)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a retry or a fork changes of a job's specification; None leaves it as it is. Units as in `Budget`."""

    usd: Decimal | None = None
    hours: float | None = None
    iterations: int | None = None
    tokens: int | None = None
    strategy: str | None = None
    seed: int | None = None


# ── what models and checks give back ──────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message; `role` is system, user or assistant. `attachments` come before its text."""

    role: str
    content: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How often the limits of a prompt's parts are halved: of its `ground`, with which all prompts of a job begin, and
    of the `rest`, which is left out where that is None."""

    ground: int = 0
    rest: int | None = 0


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
class Asked:
    """An escalation as it is stored. `made` is the answer of one that is done; `open` says that it is still to be
    settled; `faults` counts the turns in a row that ended in a fault of a service."""

    plan: CloudPlan
    state: EscalationState
    open: bool
    faults: int = 0
    response_id: str | None = None
    made: Completion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check said of one candidate. `score` is in [0, 1]; `feedback` is for the model unless held out."""

    check: str
    kind: str
    passed: bool
    score: float
    held_out: bool = False
    feedback: str = ""
    seconds: float = 0.0


# ── a job's past, as the policy and the window see it ─────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CandidateRef:
    """Names a candidate of a job."""

    iteration: int
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One candidate and what the checks said of it.

    `root` is the draft its lineage began with, `revision` how many revisions away it is (0: the draft).
    `score` is the mean over all checks, a held-out check counting 0 or 1 and a check not run 0.
    A candidate with `guard` set is degenerate: it is never shown to a prompt and never checked.
    """

    ref: CandidateRef
    operator: Operator
    text: str
    root: CandidateRef
    revision: int = 0
    parent: CandidateRef | None = None
    guard: GuardKind | None = None
    verdicts: tuple[Verdict, ...] = ()
    score: float = 0.0
    accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """A recorded iteration: one move and the candidates it gave (an escalation that brought no answer gave none)."""

    number: int
    operator: Operator
    candidates: tuple[Candidate, ...]


# ── what the policy may decide ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Write `slots` fresh candidates in parallel. `restart` marks a fresh start after failures."""

    slots: int
    restart: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revise:
    """Review and patch each of `parents`, in parallel."""

    parents: tuple[CandidateRef, ...]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """Ask the cloud model, at most once: the answer is validated like any other."""

    kind: EscalationKind = EscalationKind.ANSWER
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The job ends: `state` is accepted or unsolved, `why` is for people."""

    state: JobState
    why: str
    acceptance: Acceptance | None = None


Move = Draft | Revise | Escalate
Decision = Move | Stop


def operator_of(move: Move) -> Operator:
    """The operator that makes a move's candidates."""
    match move:
        case Draft(restart=True):
            return Operator.RESTART
        case Draft():
            return Operator.DRAFT
        case Revise():
            return Operator.REVISE
        case Escalate():
            return Operator.ESCALATE
        case _:
            assert_never(move)


def describe(decision: Decision) -> str:
    """A decision in a few words, as `history` and Flower show it."""
    match decision:
        case Draft():
            verb, detail = ("restart" if decision.restart else "draft"), f"{decision.slots} slots"
        case Revise():
            verb, detail = "revise", ", ".join(f"{ref.iteration}.{ref.slot}" for ref in decision.parents)
        case Escalate():
            verb, detail = "escalate", str(decision.kind)
        case Stop():
            verb, detail = "stop", str(decision.state)
        case _:
            assert_never(decision)
    return f"{verb} ({detail})" + (f": {decision.why}" if decision.why else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a job has used: US dollars, tokens in + out by where they were made, seconds on the engine."""

    usd: Decimal = Decimal(0)
    local_tokens: int = 0
    cloud_tokens: int = 0
    engine_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the policy must keep to, with what is used so far. `width` is the number of parallel slots; `cloud`
    whether an escalation is allowed and served; the rest counts rejected iterations."""

    budget: Budget
    spend: Spend
    hours: float
    width: int
    cloud: bool = False
    escalate_after: int = 10
    move_up_after: int = 3


# ── what earlier jobs taught ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one job taught, never changed once written. `id` is 0 until it is stored. `family` names the kind of
    task (its kinds of checks); `evidence` says which checks of which job it rests on."""

    job: int
    owner: str
    family: str
    kind: LessonKind
    situation: str
    advice: str
    avoid: str
    evidence: str
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A lesson that was found. `similarity` is the cosine of the meanings, in [-1, 1]; `score` is what orders the
    matches of one search and says nothing beyond it."""

    lesson: Lesson
    similarity: float
    score: float


# ── who holds a job ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to write for a job until somebody with a higher `epoch` (fencing token) has claimed it."""

    job: int
    epoch: int
    worker: str
    turn: str  # the Celery task id, as Flower shows it
    ghost: str | None = None  # the turn whose holder died, to be ended in Flower


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIteration:
    """The iteration under way: its move is committed, and so is all that was finished of it."""

    number: int
    move: Move
    candidates: tuple[Candidate, ...] = ()  # empty until every slot of the move has its text
    checked: frozenset[int] = frozenset()  # slots whose verdicts are committed


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job with its whole past: all that the next step is built from. `lessons` is None until they were recalled,
    which is once; `ended` says how it ended, if it did; `cloud` says whether a worker serves the cloud's lane now.
    `idle_seconds` since `started_at` do not count as hours: the job was paused, or had ended before a retry. `read_at`
    is when it was read, by the database's clock, the only one that hours are told by. `texts` are the contents of its
    text attachments by hash."""

    id: int
    owner: str
    spec: JobSpec
    lane: Lane
    history: tuple[Iteration, ...]
    open: OpenIteration | None
    incumbent: Candidate | None
    spend: Spend
    started_at: datetime
    lessons: tuple[Lesson, ...] | None = None
    ended: Stop | None = None
    cloud: bool = False
    idle_seconds: float = 0.0
    read_at: datetime | None = field(default=None, compare=False)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CallKey:
    """The journal's key of one model call, beside its job."""

    iteration: int
    operator: Operator
    slot: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReport:
    """What a turn at a job did, for Flower and the log."""

    job: int
    iteration: int
    score: float
    next: str
