"""Every error Redraft raises on purpose, in one short tree.

A message says what is wrong, with which value, and what to do. The command line prints the
message of a `RedraftError` as it stands and exits with the class's `exit_code`. Programs read its fields.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.kinds import Lane, StopCode


class RedraftError(Exception):
    """Something went wrong that Redraft can explain."""

    exit_code = 1


# ── what a user wrote ──────────────────────────────────────────────────────────────────────────


class InvalidInput(RedraftError):
    """A field of the input is not allowed.

    Parameters: `field` (dotted path), `value` (as it came), `allowed` (which values are).
    """

    exit_code = 2

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field, self.value, self.allowed = field, value, allowed
        shown = repr(value)
        if len(shown) > 80:
            shown = f"{shown[:38]}...{shown[-39:]}"  # the end of a path is its file's name
        super().__init__(f"{field}: {shown} is not allowed; {allowed}")

    @property
    def faults(self) -> tuple[InvalidInput, ...]:
        """Each field that is not allowed; this error alone, where it is of one."""
        return (self,)


class InvalidInputs(InvalidInput):
    """Several fields of the input are not allowed: `faults`. Its message has a line for each, its fields are the first
    one's."""

    def __init__(self, faults: Sequence[InvalidInput]) -> None:
        super().__init__(faults[0].field, faults[0].value, faults[0].allowed)
        self.args = ("\n".join(map(str, faults)),)
        self._faults = tuple(faults)

    @property
    def faults(self) -> tuple[InvalidInput, ...]:
        """Each field that is not allowed, in the order in which they are written."""
        return self._faults


class NoSuchJob(RedraftError):
    """There is no such job, or it belongs to somebody else."""

    exit_code = 2

    def __init__(self, job: int) -> None:
        self.job = job
        super().__init__(f"job {job}: there is no such job of yours; `redraft ls` lists them")


class NoSuchLesson(RedraftError):
    """There is no such lesson, or it belongs to somebody else."""

    exit_code = 2

    def __init__(self, lesson: int) -> None:
        self.lesson = lesson
        super().__init__(f"lesson {lesson}: there is no such lesson of yours; `redraft memory search` finds them")


class NoSuchEscalation(RedraftError):
    """There is no such escalation, or its job belongs to somebody else."""

    exit_code = 2

    def __init__(self, job: int, iteration: int) -> None:
        self.job, self.iteration = job, iteration
        super().__init__(
            f"job {job}, iteration {iteration}: there is no escalation of it; `redraft escalation ls` lists them"
        )


class NotSettleable(RedraftError):
    """The cost of an escalation is known, so there is nothing to settle. `why` says what is known."""

    exit_code = 2

    def __init__(self, job: int, iteration: int, why: str) -> None:
        self.job, self.iteration, self.why = job, iteration, why
        super().__init__(f"job {job}, iteration {iteration}: there is nothing to settle; {why}")


class OperatorNeeded(RedraftError):
    """Only an operator may do this: one whose login may write for every job, as a worker's."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__("only an operator may settle an escalation: set REDRAFT_DATABASE_URL to a worker's login")


# ── what happened meanwhile ────────────────────────────────────────────────────────────────────


class ChecksChanged(RedraftError):
    """Somebody changed a job's checks after it was decided that an answer passed them: it is decided again."""

    def __init__(self, job: int) -> None:
        self.job = job
        super().__init__(f"job {job}: its checks were changed, and its answer must be checked again")


# ── faults of the infrastructure: retried apart, never a candidate's failure ───────────────────


class ServiceFault(RedraftError):
    """A service did not do its part. `service` names it; the turn is retried with backoff."""

    service = "service"


class DatabaseUnavailable(ServiceFault):
    """Postgres cannot be reached."""

    service = "postgres"


class BrokerUnavailable(ServiceFault):
    """The Redis-protocol server cannot be reached: jobs are kept, and no wake-up comes."""

    service = "broker"


class EngineFault(ServiceFault):
    """The engine refused, closed the connection, or sent something that is no answer."""

    service = "engine"


class ContextExceeded(EngineFault):
    """The server says that a prompt is longer than its context: our count is wrong, or its context is smaller."""


class AnswerInReasoning(EngineFault):
    """The server puts answers into the field for thoughts, so that they can't be told from thoughts."""


class CanaryFailed(EngineFault):
    """The engine's answer to a known prompt is wrong: none of its answers can be trusted."""


class NotDelivered(ServiceFault):
    """A receiver of an event did not take it. Parameters: `why`, for people; `seconds` that it asks to be left alone,
    and `final` where it says that it never wants one again."""

    service = "hook"

    def __init__(self, why: str, *, seconds: float = 0.0, final: bool = False) -> None:
        self.seconds, self.final = seconds, final
        super().__init__(why)


class SandboxUnavailable(ServiceFault):
    """The sandbox cannot start here, so no model-written code runs. `redraft doctor` says why."""

    service = "sandbox"


class MemoryUnavailable(ServiceFault):
    """The memory bank cannot be reached; jobs go on without lessons."""

    service = "memory"


class CloudFault(ServiceFault):
    """The cloud model did not answer this time. Its response is fetched later; the request is never sent again."""

    service = "cloud"


class CloudUnreached(CloudFault):
    """The cloud model could not be reached and no byte of the request was sent, so it may be sent again. `stopped` says
    that it was the turn which ended first, and the cloud is not to blame."""

    def __init__(self, message: str, *, stopped: bool = False) -> None:
        super().__init__(message)
        self.stopped = stopped


class PartFailed(ServiceFault):
    """A part of the local stack did not start."""

    service = "stack"


# ── what ends a turn without being wrong ──────────────────────────────────────────────────────


class PruneRefused(RedraftError):
    """What was exported is not what would be deleted, so nothing of that batch is."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: this batch is not deleted; run `redraft db prune` again")


class TurnEnded(RedraftError):
    """The turn must stop now. Calls in flight are discarded; the journal keeps the rest."""


class LeaseLost(TurnEnded):
    """Another worker holds this job now: a stale epoch may not write."""


class Cancelled(TurnEnded):
    """The user cancelled the job while it ran."""


class Paused(TurnEnded):
    """The user paused the job while it ran; when resumed it goes on from the journal."""


class ShuttingDown(TurnEnded):
    """The worker is shutting down."""


class NeedsLane(TurnEnded):
    """The next step runs on another lane. Parameters: `lane`."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        super().__init__(f"the next step runs on lane {lane}")


class BatchReserved(TurnEnded):
    """What is left of the budget of a job's batch is reserved for calls in flight of its other jobs: the job goes on
    once they have cost less than they may."""


class CloudWaits(TurnEnded):
    """The escalation waits for its provider: the job goes on after `seconds`, and holds no slot until then."""

    def __init__(self, seconds: float, why: str) -> None:
        self.seconds = seconds
        super().__init__(f"the cloud, to be asked again: {why}")


class DailyReserved(TurnEnded):
    """What is left of a limit of today is reserved for calls in flight of other jobs: the job goes on once they have
    cost less than they may."""


class DailyLimitReached(TurnEnded):
    """A limit of today, of a job's owner or of the deployment, does not pay for what comes next: the job goes on after
    `seconds`, when the day is over. `unit` is that of the limit."""

    def __init__(self, why: str, seconds: float, unit: str = "") -> None:
        self.seconds, self.unit = seconds, unit
        super().__init__(why)


# ── limits ────────────────────────────────────────────────────────────────────────────────────


class LimitReached(RedraftError):
    """The budget does not pay for what comes next.

    Parameters: `type` (usd, hours, iterations, tokens, cloud_tokens, local_tokens, completion_tokens, gpu_seconds),
    `value` (used so far), `limit`, and
    `needed`, what the next call may take at most, where only that does not fit.
    """

    exit_code = 3

    def __init__(self, type: str, value: float, limit: float, needed: float | None = None) -> None:
        self.type, self.value, self.limit, self.needed = type, value, limit, needed
        self.code = StopCode.CONTEXT if type == "context" else StopCode(f"budget_{type}")
        more = f", {needed:,} more are needed" if needed is not None else ""
        super().__init__(f"{type}: {value:,} of {limit:,} are used{more}")


class BatchLimitReached(LimitReached):
    """The budget that a job shares with its batch does not pay for what comes next. Parameters as of `LimitReached`."""

    def __init__(self, type: str, value: float, limit: float, needed: float | None = None) -> None:
        super().__init__(type, value, limit, needed)
        if type != "usd":  # no job ends for it: it goes on without the cloud
            self.code = StopCode(f"batch_{type}")


class PromptTooLong(LimitReached):
    """Even the shortest prompt of a job does not fit into the context of the worker's model. Parameters: its `tokens`,
    and those for which the model has `room`."""

    def __init__(self, tokens: int, room: int) -> None:
        super().__init__("context", tokens, room)
        self.tokens = tokens
        self.args = (f"the shortest prompt has {tokens:,} tokens, and the model has room for {room:,}",)


class ProblemTooLong(PromptTooLong):
    """A job's problem does not fit whole into the context of the worker's model, and the job does not allow it to be
    cut. Parameters: its `tokens`, those for which there is `room`; where they are known, `context_tokens` of the model
    and `why`, a sentence with all the numbers."""

    def __init__(self, tokens: int, room: int, context_tokens: int = 0, why: str = "") -> None:
        super().__init__(tokens, room)
        self.context_tokens = context_tokens
        self.args = (why or f"the problem has {tokens:,} tokens, and the model has room for {room:,} of them",)


class EgressForbidden(RedraftError):
    """A text was about to leave that must stay at home. Raised before a socket is opened; a defect of Redraft."""

    def __init__(self, egress: str) -> None:
        self.egress = egress
        super().__init__(f"egress: {egress}: nothing of this job may be sent to the cloud")


# ── what a job can't go on after ──────────────────────────────────────────────────────────────


class JobFailed(RedraftError):
    """The job ends `failed` at once, for another turn would fail alike. `code` says why."""

    code = StopCode.DEFECT


class JournalMismatch(JobFailed):
    """A journalled call answers another prompt than the one built now: the model was changed, or Redraft, and the call
    is set aside. Where that happens to the same call again and again it ends the job, for prompts must be a function of
    what is stored, and it is a defect of Redraft."""

    code = StopCode.JOURNAL_MISMATCH


class MalformedJob(JobFailed):
    """What is stored of a job is not what a submission stores."""

    code = StopCode.MALFORMED


class AttachmentLost(JobFailed):
    """An attachment is not in the store, or its content is not what was submitted."""

    code = StopCode.ATTACHMENT_LOST


class PluginUnavailable(RedraftError):
    """A job names a plug-in that this worker does not have, or can't load; another worker may take the job.

    Parameters: `kind` (strategy, check), `name`, and `why` it can't be loaded, empty where it is not installed.
    """

    def __init__(self, kind: str, name: str, why: str = "") -> None:
        self.kind, self.name, self.why = kind, name, why
        state = f"is broken on this worker: {why}" if why else "is not on this worker"
        super().__init__(f"{kind} {name!r} {state}")
