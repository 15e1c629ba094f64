"""What the live page reads: frozen rows of the night, of lists, of one job. Knows no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tasks.types import Acceptance, CandidateRef, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCount:
    """Jobs in one state: all of them, and those that came to it since the night began."""

    state: JobState
    jobs: int
    lately: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRow:
    """A lane now: live `workers` that serve it, the login's jobs `at_work` on it, those `waiting` for a worker, and
    those that wait for a moment (`later`)."""

    lane: str
    workers: int
    at_work: int
    waiting: int
    later: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """The login's jobs since `since`. `calls_in_flight` and `tokens_per_second` are of the requests under way;
    `slots` are the turns that all live workers take at once."""

    now: datetime
    since: datetime
    states: tuple[StateCount, ...]
    lanes: tuple[LaneRow, ...]
    usd: Decimal
    tokens: int
    slots: int
    calls_in_flight: int
    tokens_per_second: float

    @property
    def ended(self) -> int:
        """Jobs that ended lately by themselves."""
        return sum(count.lately for count in self.states if count.state.final and count.state != "cancelled")

    @property
    def accepted(self) -> int:
        """Jobs that were accepted lately."""
        return sum(count.lately for count in self.states if count.state is JobState.ACCEPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What ended in a stretch of time that `began` then: model calls with the tokens that they wrote, and checks, each
    with the seconds that they took together."""

    began: datetime
    tokens: int
    usd: Decimal
    calls: int
    call_seconds: float
    checks: int
    check_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """A job in a list. `run_at` is when a waiting one may be claimed, `lane` the next step's, `served` whether a live
    worker serves it with the job's model, `measured` whether it has a score, `fault` the last one's text where it waits
    after a fault, `ahead` how many of the owner's own jobs come before it in its lane."""

    job: int
    title: str
    state: JobState
    reason: str
    acceptance: Acceptance | None
    strategy: str
    owner: str
    tags: tuple[str, ...]
    lane: str
    model: str
    iterations: int
    most_iterations: int
    score: float | None
    value: float | None
    measured: bool
    tokens: int
    most_tokens: int
    usd: Decimal
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    phase: str
    live_tokens: int
    progress_at: datetime
    run_at: datetime
    waiting_since: datetime
    served: bool
    context_above: int
    cancel_requested: bool
    pause_requested: bool
    now: datetime
    fault: str = ""

    @property
    def age_seconds(self) -> float:
        """Seconds from its submission to its end, or to now."""
        return ((self.finished_at or self.now) - self.submitted_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a list holds: all that match every field that is not empty. `text` is looked for in titles and tags,
    and a number is also the job's own."""

    text: str = ""
    state: JobState | None = None
    tag: str = ""
    owner: str = ""
    strategy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """A page of jobs, the newest first; `more` says that there are older ones. `total` counts at most to `COUNTED`."""

    jobs: tuple[JobLine, ...]
    more: bool
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the login's jobs can be filtered by."""

    strategies: tuple[str, ...]
    owners: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The best candidate of an iteration as numbers; `improved` says that it became the incumbent."""

    iteration: int
    score: float | None
    value: float | None
    improved: bool
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationLine:
    """An iteration in a job's list, the open one without `finished_at`. `parents` are those of its move, `hint` is the
    advice that it brought."""

    iteration: int
    operator: str
    parents: tuple[CandidateRef, ...]
    decision: str
    score: float | None
    value: float | None
    measured: bool
    best_slot: int | None
    improved: bool
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    usd: Decimal
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateLine:
    """A candidate without its text: where it comes from and how it did. `passed` of the `checks` that it has a verdict
    of."""

    ref: CandidateRef
    operator: str
    root: CandidateRef
    revision: int
    parent: CandidateRef | None
    guard: str | None
    let_through: str | None
    score: float
    value: float | None
    measured: bool
    accepted: bool
    checked: bool
    repeats: CandidateRef | None
    objection: str
    passed: int
    checks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLine:
    """One check's verdict on one candidate."""

    ref: CandidateRef
    check: str
    kind: str
    passed: bool
    held_out: bool
    score: float
    value: float | None
    feedback: str
    seconds: float
    isolation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLine:
    """A model call without its prompt. `said` is its text, or the beginning of it; `chars` are those of all of it and
    `thought_chars` those of its thoughts. `guard` is what the guard found, as JSON."""

    call: int
    iteration: int
    operator: str
    slot: int
    attempt: int
    step: str
    check: str
    vote: int
    model: str
    finish_reason: str
    guard: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    usd: Decimal
    seconds: float
    set_aside: bool
    said: str
    chars: int
    thought_chars: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a prompt, as it was sent; parts that are no text are named."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallText:
    """One model call word for word: its prompt, thoughts and answer."""

    line: CallLine
    messages: tuple[Message, ...]
    text: str
    thoughts: str
    settings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateText:
    """A candidate with its text, and its parent's where it has one."""

    line: CandidateLine
    text: str
    parent_text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationDetail:
    """All of one iteration but prompts and thoughts."""

    line: IterationLine
    candidates: tuple[CandidateText, ...]
    verdicts: tuple[VerdictLine, ...]
    calls: tuple[CallLine, ...]
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A request under way: what it is for, the tokens received so far, and for how long it has run."""

    iteration: int
    operator: str
    slot: int
    attempt: int
    step: str
    check: str
    vote: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveText:
    """What a request under way has written: the end of its `text` and of its `thoughts`, of so many characters in all.
    Its key is as in `tasks.types.CallKey`."""

    iteration: int
    operator: str
    slot: int
    attempt: int
    step: str
    check: str
    vote: int
    text: str
    thoughts: str
    chars: int
    thought_chars: int
    tokens: int
