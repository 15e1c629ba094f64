"""What people read of jobs: frozen rows. Knows no SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from tasks.types import Acceptance, BatchBudget, Budget, Egress, Hint, JobState, Lane, Spend, StopCode


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWork:
    """All crashes of a job together: `calls` were in flight and are made again.

    `tokens` had been received and `seconds` of engine time had passed in them when their worker last reported, two
    seconds at most before; `tokens_at_most` is all that was reserved for them, prompts included, `seconds_at_most` the
    time until the leases were taken. `why` is of the last crash.
    """

    crashes: int = 0
    calls: int = 0
    tokens: int = 0
    tokens_at_most: int = 0
    seconds: float = 0.0
    seconds_at_most: float = 0.0
    why: str = ""


NOTHING_LOST = LostWork()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOmission:
    """What one call's prompt left out of one block: `left_out` of its `chars` characters. `attempt`, `step`, `check`
    and `vote` tell the calls of an operator and slot apart, as in `tasks.types.CallKey`."""

    operator: str
    slot: int
    attempt: int
    block: str
    left_out: int
    chars: int
    step: str = ""
    check: str = ""
    vote: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAsideCall:
    """A call on whose answer nothing rests, since the prompt built now is another: it is kept and billed. Its key is as
    in `tasks.types.CallKey`."""

    operator: str
    slot: int
    attempt: int
    step: str
    check: str
    vote: int
    model: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What all calls of a job left out of one block: in how many calls, and in one of them at most `left_out` of
    `chars` characters."""

    block: str
    calls: int
    left_out: int
    chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBy:
    """The model whose judges alone accepted an answer, and how many of their votes in a row passed it."""

    model: str
    votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """One job as `show` and `watch` see it. `now` is the database's clock when it was read; `phase`, `worker`
    and `live_tokens` (received in the turn under way) are of the holder; `answer` is left out of lists; `moved_up` says
    that a job of lane fast goes on with the large model. `idle_seconds` are those since its start that its budget of
    hours does not count: paused, or ended and retried. The `stop_` fields say why it ended, as in
    `tasks.types.Stop`; `reason` is their text. `shared_checks` have judged in the candidate's own process. `model` is
    the one that must work on it, empty for any; `model_awaited` says that no live worker serves it, and it waits.
    `judged_by` is there where only judges accepted its answer.
    `cut` allows a problem that is too long to be shown in part, `left_out` is what calls left out of their prompts, and
    `context_above` is the largest context that its problem did not fit into: it waits for a worker with more.
    `waits_for` says why a job that nobody holds goes on only later.
    `batch` is the number of the batch whose budget it shares. `value` is its answer's, where the job has a score
    (`measured`). `question` is what it asks while it needs input, and waits for until `answer_until`."""

    job: int
    title: str
    state: JobState
    reason: str
    acceptance: Acceptance | None
    strategy: str
    iterations: int
    score: float | None
    answer: str | None
    answer_iteration: int | None
    owner: str
    tags: tuple[str, ...]
    spend: Spend
    budget: Budget
    lane: Lane
    egress: Egress
    priority: int
    key: str | None
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool
    worker: str | None
    phase: str
    live_tokens: int
    operator: str
    now: datetime
    pause_requested: bool = False
    idle_seconds: float = 0.0
    waits_for: str = ""
    moved_up: bool = False
    stop_code: StopCode | None = None
    stop_used: float | None = None
    stop_limit: float | None = None
    stop_needed: float | None = None
    lost_work: LostWork = NOTHING_LOST
    shared_checks: tuple[str, ...] = ()
    cut: bool = False
    left_out: tuple[LeftOut, ...] = ()
    context_above: int = 0
    model: str = ""
    model_awaited: bool = False
    batch: int | None = None
    judged_by: JudgedBy | None = None
    value: float | None = None
    measured: bool = False
    stop_ended_by: StopCode | None = None
    question: str | None = None
    answer_until: datetime | None = None

    @property
    def age_seconds(self) -> float:
        """Seconds from its submission to its end, or to now."""
        return ((self.finished_at or self.now) - self.submitted_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """A batch: how many of its `jobs` have `ended` and were `accepted`, what they have used together, and what they may
    use at most. `hours` are those since its first call, up to its last job's end."""

    batch: int
    owner: str
    jobs: int
    ended: int
    accepted: int
    iterations: int
    tokens: int
    usd: Decimal
    hours: float
    budget: BatchBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """The verdict of one check on an iteration's best candidate; `value` and `metrics` are what a score measured."""

    check: str
    passed: bool
    held_out: bool
    score: float
    feedback: str
    isolation: str = ""
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> str:
        """What a reader must know beside its name, in brackets."""
        shared = "shares its process with the candidate" if self.isolation == "shared" else ""
        remarks = ", ".join(note for note in ("held out" if self.held_out else "", shared) if note)
        return f" ({remarks})" if remarks else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationRow:
    """A recorded iteration with its best candidate; tokens are summed over all its calls, those `set_aside` included,
    and `omissions` is what their prompts left out. `behaviour` is the digest of what the candidate does, `inputs` are
    those of a probe, `hint` the advice that an escalation brought; `repeated_tokens` are those of completions in slots
    whose candidate is a rejected one again. `value` is the candidate's, where the job has a score (`measured`);
    `improved` says that it became the incumbent. `hints` are those of people that it is the first to see, `question` is
    what it asked."""

    iteration: int
    operator: str
    model: str | None
    candidate: str | None
    score: float | None
    guard: str | None
    verdicts: tuple[VerdictRow, ...]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    usd: Decimal
    seconds: float | None
    worker: str | None
    epoch: int | None
    decision: str
    stop_code: StopCode | None = None
    omissions: tuple[CallOmission, ...] = ()
    let_through: str | None = None
    set_aside: tuple[SetAsideCall, ...] = ()
    behaviour: str | None = None
    inputs: tuple[str, ...] = ()
    hint: str = ""
    repeated_tokens: int = 0
    value: float | None = None
    measured: bool = False
    improved: bool = False
    hints: tuple[Hint, ...] = ()
    question: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRow:
    """A change of a job by a person: the fields that differ, before and after, by their names in a job file
    (`budget.tokens`). `iterations` were recorded by then. A change of the title or the checks `waits` for the next
    iteration, and `iteration` is the first that it held for, None where it holds for none or for no certain one."""

    by: str
    at: datetime
    before: Mapping[str, object]
    after: Mapping[str, object]
    iterations: int
    waits: bool = False
    iteration: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What one group (`of`: a job's number, an owner, a model, a day or a kind of help) has spent; `seconds` on the
    engine."""

    of: str
    jobs: int
    calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    usd: Decimal
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BestScore:
    """That of a best candidate: None where there is none. `value` is what was measured, where the job has a score
    (`measured`)."""

    score: float | None
    value: float | None
    measured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRow:
    """What left for the cloud: `request` is its JSON as it was sent. `reserved_usd` is what it could cost at most,
    `usd` what it was charged, `error` why it brought no answer; `request_sha256` is the hash of its canonical JSON, and
    `redactions` how many secrets of which kind were taken out of it before. The score and the value `before` are those
    of the best candidate until then, those `after` of the best one that was written with it, up to the next escalation;
    `accepted` says that one of these passed every check. None where there is no such candidate. `measured` says that
    the job has a score."""

    escalation: int
    iteration: int
    kind: str
    model: str
    state: str
    response_id: str | None
    request: str
    reserved_usd: Decimal
    usd: Decimal
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    error: str
    created_at: datetime
    finished_at: datetime | None
    score_before: float | None = None
    value_before: float | None = None
    score_after: float | None = None
    value_after: float | None = None
    measured: bool = False
    accepted: bool = False
    request_sha256: str = ""
    redactions: Mapping[str, int] = field(default_factory=dict)

    @property
    def best_before(self) -> BestScore:
        """Of the candidates until then."""
        return BestScore(score=self.score_before, value=self.value_before, measured=self.measured)

    @property
    def best_after(self) -> BestScore:
        """Of those that were written with it."""
        return BestScore(score=self.score_after, value=self.value_after, measured=self.measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyLimit:
    """A limit of today (UTC) and what stands against it: `used` since midnight, `held` by calls in flight and open
    escalations. `owner` is empty for the whole deployment; the day ends in `seconds_left`. Of the deployment's, a login
    that sees its own jobs alone sees the `part` that is its own."""

    owner: str
    unit: str
    limit: Decimal | float
    used: Decimal | float
    held: Decimal | float
    seconds_left: float
    part: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An entry of a job's log. `number` rises with each of one job; `kind` is a word or two, `detail` one line."""

    number: int
    job: int
    at: datetime
    kind: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job's number, whether this submission made it (False: its key had made it before), what may leave, and the
    number of its batch. `note` is a line on a new job for whoever submits it: that its problem is, or may be, too long
    for the models served."""

    job: int
    new: bool
    egress: Egress
    note: str = ""
    batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The answer to a query: names of columns, and rows of Python values; `cut` where there were more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    cut: bool = False
