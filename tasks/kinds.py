"""The words of the domain: in which state a job is, where a step runs, what a call was for."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """States of a job; the last five are final."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    NEEDS_INPUT = "needs_input"  # it has asked the person who posed it, and waits for an answer
    ACCEPTED = "accepted"
    UNSOLVED = "unsolved"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether the job will never run again by itself."""
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED, JobState.NEEDS_INPUT)


class StopCode(StrEnum):
    """Why a job ended, as a word for programs; `tasks.reasons` makes the text for people from it."""

    ACCEPTED = "accepted"
    BUDGET_ITERATIONS = "budget_iterations"
    BUDGET_HOURS = "budget_hours"
    BUDGET_TOKENS = "budget_tokens"
    BUDGET_COMPLETION_TOKENS = "budget_completion_tokens"
    BUDGET_USD = "budget_usd"
    BUDGET_LOCAL_TOKENS = "budget_local_tokens"
    BUDGET_CLOUD_TOKENS = "budget_cloud_tokens"
    BUDGET_GPU_SECONDS = "budget_gpu_seconds"
    BUDGET_EVALUATIONS = "budget_evaluations"
    BATCH_TOKENS = "batch_tokens"  # of the budget that it shares with its batch
    BATCH_HOURS = "batch_hours"
    CONTEXT = "context"  # even the shortest prompt is longer than the model's context
    DRAFT_REJECTED = "draft_rejected"  # a strategy of one draft
    CLOUD_REJECTED = "cloud_rejected"  # the cloud model's answer was rejected, too
    NO_GAIN = "no_gain"  # the best score did not rise for long, over several fresh starts
    PLATEAU = "plateau"  # the value of a job with a score stood still for as long as its check allows
    IMPOSSIBLE = "impossible"  # reviews found that no answer can exist, and quoted why
    GAVE_UP = "gave_up"  # any other strategy that sees no further move
    CANCELLED = "cancelled"
    CRASHES = "crashes"  # its worker died again and again
    SERVICE_FAULTS = "service_faults"
    MISSING_PLUGIN = "missing_plugin"  # no worker that took it has the strategy or kind of check that it names
    DEFECT = "defect"  # an exception that nothing expects, in Redraft or in a plug-in
    MALFORMED = "malformed"  # what is stored of it is not what a submission stores
    ATTACHMENT_LOST = "attachment_lost"
    JOURNAL_MISMATCH = "journal_mismatch"  # a journalled call answers another prompt than the one built now

    @property
    def state(self) -> JobState:
        """The state in which a job ends for this reason."""
        match self:
            case StopCode.ACCEPTED:
                return JobState.ACCEPTED
            case StopCode.CANCELLED:
                return JobState.CANCELLED
            case StopCode.CRASHES:
                return JobState.QUARANTINED
            case (
                StopCode.BUDGET_ITERATIONS
                | StopCode.BUDGET_HOURS
                | StopCode.BUDGET_TOKENS
                | StopCode.BUDGET_COMPLETION_TOKENS
                | StopCode.BUDGET_USD
                | StopCode.BUDGET_LOCAL_TOKENS
                | StopCode.BUDGET_CLOUD_TOKENS
                | StopCode.BUDGET_GPU_SECONDS
                | StopCode.BUDGET_EVALUATIONS
                | StopCode.BATCH_TOKENS
                | StopCode.BATCH_HOURS
                | StopCode.CONTEXT
                | StopCode.DRAFT_REJECTED
                | StopCode.CLOUD_REJECTED
                | StopCode.NO_GAIN
                | StopCode.PLATEAU
                | StopCode.IMPOSSIBLE
                | StopCode.GAVE_UP
            ):
                return JobState.UNSOLVED
            case _:
                return JobState.FAILED


class HookEvent(StrEnum):
    """What a hook can be told of."""

    ACCEPTED = "job.accepted"
    UNSOLVED = "job.unsolved"
    OVER_BUDGET = "job.over_budget"  # unsolved, since its budget or its batch's is spent
    NEEDS_INPUT = "job.needs_input"
    QUARANTINED = "job.quarantined"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    ENGINE_DOWN = "engine.down"
    ENGINE_UP = "engine.up"


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
    AGGREGATE = "aggregate"
    SYNTHESISE = "synthesise"
    MUTATE = "mutate"
    EDIT = "edit"  # a mutation by search/replace blocks
    HINT = "hint"  # advice, which makes no candidate
    ESCALATE = "escalate"
    JUDGE = "judge"
    DISTIL = "distil"
    INPUTS = "inputs"  # calls with which programs are told apart
    ASK = "ask"  # a question to the person who posed the problem
    RECHECK = "recheck"  # no call: candidates of before are checked by the checks as they are now
    START = "start"  # no call: the answer that the job was submitted with
    VARY = "vary"  # no call: another candidate with one number changed, or without one part


class Egress(StrEnum):
    """How much of a job may leave for the cloud."""

    NEVER = "never"
    HINT = "hint"
    FULL = "full"

    def allows(self, kind: EscalationKind) -> bool:
        """Whether a job may be asked about in this way."""
        return self is Egress.FULL or (self is Egress.HINT and kind.is_hint)


class Acceptance(StrEnum):
    """What an acceptance rests on: deterministic checks, or judges only."""

    VERIFIED = "verified"
    JUDGED = "judged"


class GuardKind(StrEnum):
    """Which net caught a degenerate text."""

    CYCLE = "cycle"
    COMPRESSION = "compression"
    TEMPLATE = "template"
    NOVELTY = "novelty"
    ENGINE = "engine"  # the engine's own repetition detection ended it


class Modality(StrEnum):
    """What a model takes beside, or instead of, text."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"


class HintSource(StrEnum):
    """Who gave a job advice."""

    PERSON = "person"
    CLOUD = "cloud"


class LessonKind(StrEnum):
    """What a lesson rests on: an answer that deterministic checks accepted, or failures that they explained."""

    SUCCESS = "success"
    FAILURE = "failure"


class EscalationKind(StrEnum):
    """What a stronger model is asked for: the rungs of the ladder of help, in their order."""

    HINT = "hint"  # advice on the plan
    HINT_ON_BEST = "hint on best"  # advice on the best candidate, which it is shown with its visible verdicts
    ANSWER = "answer"  # a whole answer

    @property
    def is_hint(self) -> bool:
        """Whether it asks for advice, so that the local model does the work."""
        return self is not EscalationKind.ANSWER


class EscalationState(StrEnum):
    """Where one request to the cloud stands. Nothing has left in `refused` and `unsent`."""

    INTENT = "intent"  # committed before the request; found again without an id, it may have been received
    UNSENT = "unsent"  # no byte of the request left: the cloud could not be reached, or its circuit is open
    WAITING = "waiting"  # it was sent, and the cloud said that it did not take it: it is sent again later
    RUNNING = "running"  # the cloud's id is committed, and a restart fetches by it
    DONE = "done"
    FAILED = "failed"  # rejected, failed, incomplete or cancelled: there is no answer
    REFUSED = "refused"  # the budget can't pay for it
    UNKNOWN = "unknown"  # nobody can say whether it was answered: charged in full, never sent again


class CloudEnd(StrEnum):
    """How a request to the cloud ended: the Responses API's own words, and three of ours."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # an HTTP error that says the request was not taken, and won't be
    BUSY = "busy"  # the cloud says that it did not take the request, and that it may be sent again later
    RETIRED = "retired"  # the provider has no such model: the request was not taken
    LOST = "lost"  # it may have been taken, and there is nothing to fetch it by


class Health(StrEnum):
    """What the end of a request says of its provider, for the circuit breaker."""

    WELL = "well"  # it did its part, whatever the answer is
    FAULT = "fault"  # busy, away, or broken
    UNUSABLE = "unusable"  # the key or the quota: the next request would meet the same
    UNKNOWN = "unknown"  # it says nothing: the turn ended first
