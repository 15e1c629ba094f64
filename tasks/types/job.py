"""A job with its history, the claim on it, and the lesson it teaches later jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tasks.kinds import HintSource, Lane, LessonKind
from tasks.thompson import Counts
from tasks.types.moves import Candidate, Iteration, Move, Spend, Stop
from tasks.types.specs import JobSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one job taught; immutable. `id` is 0 until it is stored. `family` names the kind of task by its kinds of
    checks; `evidence` says which checks of which job support it."""

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
class Record:
    """What became of the jobs that recalled a lesson: how many were accepted, and how many ended without."""

    helped: int
    hurt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """What became of an owner's last jobs of one family: of those that recalled lessons, and of those `without`."""

    taught: Counts = field(default_factory=Counts)
    without: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A lesson that a search found. `similarity` is the cosine of the embeddings, in [-1, 1]; `score` orders the
    matches of one search and can't be compared with another's."""

    lesson: Lesson
    similarity: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Advice to a job. `by` is the login of the person, or the cloud model's id; `question` is what the job asked,
    where the advice is an answer. `iteration` is the first one that saw it, None while none has; all later prompts of
    the job carry it, too. `id` is 0 until it is stored."""

    source: HintSource
    text: str
    by: str
    at: datetime
    question: str = ""
    iteration: int | None = None
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to write for a job until somebody with a higher `epoch` (fencing token) has claimed it."""

    job: int
    epoch: int
    worker: str
    turn: str  # the Celery task id, as Flower shows it
    stale_task_id: str | None = None  # the turn whose holder died, to be ended in Flower
    lane: Lane = Lane.GPU  # of the step that comes next


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIteration:
    """The iteration under way. Its move is committed, and so is every finished step of it."""

    number: int
    move: Move
    candidates: tuple[Candidate, ...] = ()  # empty until every slot of the move has its text
    inputs: tuple[str, ...] | None = None  # of a probe, once they are written
    checked: frozenset[int] = frozenset()  # slots whose verdicts are committed


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job with its whole history: all that the next step depends on. `lessons` are recalled once, and None before;
    `ended` says why it ended, if it did; `cloud` says whether a worker serves the lane `cloud` now, and `away` names
    the providers whose circuits let nothing through now. Of the time since `started_at`, `idle_seconds` do not count as
    hours: the job was paused, or had ended before a retry. `read_at` is when it was read; hours are counted by the
    database's clock only. `texts` are the contents of its text attachments by hash. `batch` is the number of the batch
    whose budget it shares. `hints` are those that its open iteration sees, in the order in which they were given,
    and `waiting_hints` says how many no iteration has seen yet.

    `history` has the iterations whose candidates were judged by the checks as they are now; `earlier` has those of
    before the last change of them, whose verdicts say nothing any more. `new_checks` says that a change of the checks
    waits for the next iteration."""

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
    away: frozenset[str] = frozenset()
    idle_seconds: float = 0.0
    read_at: datetime | None = field(default=None, compare=False)
    texts: Mapping[str, str] = field(default_factory=dict)
    batch: int | None = None
    hints: tuple[Hint, ...] = ()
    waiting_hints: int = 0
    earlier: tuple[Iteration, ...] = ()
    new_checks: bool = False

    @property
    def iterations(self) -> tuple[Iteration, ...]:
        """All that are recorded."""
        return (*self.earlier, *self.history)


def unstored_job(spec: JobSpec, texts: Mapping[str, str] | None = None) -> Job:
    """A job that is in no database, before its first iteration: all that its prompts are built from. Its lane is the
    one that it asks for; `texts` are as in `Job`."""
    return Job(
        id=0,
        owner="",
        spec=spec,
        lane=spec.lane,
        history=(),
        open=None,
        incumbent=None,
        spend=Spend(),
        started_at=datetime.fromtimestamp(0, UTC),
        texts=texts or {},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReport:
    """What a turn at a job did, for Flower and the log; `value` is there where the job has a score."""

    job: int
    iteration: int
    score: float
    next: str
    value: float | None = None
    title: str = ""
