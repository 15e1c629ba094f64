"""Every error Redraft raises on purpose, in one short tree.

A message says what is wrong, with which value, and what to do. The command line prints the
message of a `RedraftError` as it stands and exits with the class's `exit_code`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.types import Lane


class RedraftError(Exception):
    """Something went wrong that Redraft can explain."""

    exit_code = 1


# ── what a user handed in ─────────────────────────────────────────────────────────────────────


class InvalidInput(RedraftError):
    """A field of the input is not allowed.

    Parameters: `field` (dotted path), `value` (what was given), `allowed` (what would do).
    """

    exit_code = 2

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field, self.value, self.allowed = field, value, allowed
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{field}: {shown} is not allowed; {allowed}")


class NoSuchJob(RedraftError):
    """There is no such job, or it belongs to somebody else."""

    exit_code = 2

    def __init__(self, job: int) -> None:
        super().__init__(f"job {job}: there is no such job of yours; `redraft ls` lists them")


class NoSuchLesson(RedraftError):
    """There is no such lesson, or it belongs to somebody else."""

    exit_code = 2

    def __init__(self, lesson: int) -> None:
        super().__init__(f"lesson {lesson}: there is no such lesson of yours; `redraft memory search` finds them")


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
    """The engine refused, hung up, or answered something that is no answer."""

    service = "engine"


class ContextExceeded(EngineFault):
    """The server says that a prompt is longer than its context: it was counted wrongly, or the context is smaller."""


class CanaryFailed(EngineFault):
    """The engine answers, and what it says is wrong: nothing of it can be trusted."""


class SandboxUnavailable(ServiceFault):
    """The sandbox cannot start here, so nothing a model wrote is run. `redraft doctor` says why."""

    service = "sandbox"


class MemoryUnavailable(ServiceFault):
    """The memory bank cannot be reached: jobs go on without lessons."""

    service = "memory"


class CloudFault(ServiceFault):
    """The cloud model did not answer this time; what was sent is fetched again, never sent again."""

    service = "cloud"


class CloudUnreached(CloudFault):
    """The cloud model could not be reached, and no byte of the request has left: it may be sent again."""


class PartFailed(ServiceFault):
    """A part of the local stack did not start."""

    service = "stack"


# ── what ends a turn without being wrong ──────────────────────────────────────────────────────


class TurnEnded(RedraftError):
    """The turn must stop now and throw away what is in flight; the journal keeps the rest."""


class LeaseLost(TurnEnded):
    """Somebody else holds this job now: a stale epoch may not write."""


class Cancelled(TurnEnded):
    """The user cancelled the job while it ran."""


class Paused(TurnEnded):
    """The user paused the job while it ran: it goes on from the journal when it is resumed."""


class ShuttingDown(TurnEnded):
    """The worker was told to stop."""


class NeedsLane(TurnEnded):
    """The next step runs on another lane. Parameters: `lane`, its name."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        super().__init__(f"the next step runs on lane {lane}")


# ── limits ────────────────────────────────────────────────────────────────────────────────────


class LimitReached(RedraftError):
    """A budget is spent. Machine-readable: `type` (usd, hours, iterations, tokens), `value`, `limit`."""

    exit_code = 3

    def __init__(self, type: str, value: float, limit: float) -> None:
        self.type, self.value, self.limit = type, value, limit
        super().__init__(f"the budget of {limit:g} {type} is spent ({value:g} used)")


class PromptTooLong(LimitReached):
    """Even the shortest prompt of a job does not fit into the context of the worker's model."""

    def __init__(self, tokens: int, room: int) -> None:
        super().__init__("tokens of context", tokens, room)
        self.args = (f"the shortest prompt has {tokens} tokens, and the model has room for {room}",)


class EgressForbidden(RedraftError):
    """A text was about to leave that must stay at home. Raised before a socket is opened; a defect of Redraft."""

    def __init__(self, egress: str) -> None:
        super().__init__(f"egress: {egress}: nothing of this job may be sent to the cloud")


class JournalMismatch(RedraftError):
    """A journalled call was made from another prompt than the one built now: the prompt must be a
    function of what is stored, so this is a defect of Redraft and the job is stopped, not guessed on."""


class MalformedJob(RedraftError):
    """What is stored of a job is not what a submission stores: the job is stopped at once, not tried again."""


class AttachmentLost(RedraftError):
    """An attachment is not in the store, or not as it was handed in: the job is stopped, not guessed on."""
