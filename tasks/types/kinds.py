"""The words of the domain: in which state a job is, where a step runs, what a call was for."""

from __future__ import annotations

from enum import StrEnum


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
