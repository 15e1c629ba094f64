"""What an exception makes of a turn: the job stops, its lease is handed back, or the lease runs out. Over the ledger
only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import structlog

from tasks.crashpoints import CrashPoint, passing
from tasks.defects import full_traceback, is_exhaustion, summary
from tasks.errors import (
    BatchReserved,
    Cancelled,
    CloudWaits,
    DailyLimitReached,
    DailyReserved,
    DatabaseUnavailable,
    JobFailed,
    LimitReached,
    NeedsLane,
    Paused,
    PluginUnavailable,
    ProblemTooLong,
    ServiceFault,
    ShuttingDown,
    TurnEnded,
)
from tasks.ports import Ledger
from tasks.reasons import describe
from tasks.types import Claim, Lane, Stop, StopCode

log = structlog.get_logger()
# A call lasts longer; looking again costs a claim and a transaction.
BATCH_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    """How a turn ended, in a few words; `failed`: by a fault, or the job failed."""

    said: str
    failed: bool = False


def settle(  # noqa: PLR0912 - one branch an outcome
    ledger: Ledger, claim: Claim, lane: Lane, error: Exception, secrets: Collection[str] = ()
) -> TurnEnd:
    """Writes down what follows from the `error` that ended a turn at a job whose next step runs on `lane`.

    What nobody expects is a defect, of Redraft or of a plug-in: the job fails at once, with the traceback (without
    `secrets`) in its events, for another turn would meet it again. Raises `LeaseLost` and `DatabaseUnavailable`, after
    which nothing can be written.
    """
    match error:
        case ProblemTooLong():
            stop = Stop(code=error.code, used=error.value, limit=error.limit, detail=str(error))
            ledger.seek_context(claim, lane, stop, above=error.context_tokens)
            end = TurnEnd(said=str(error))
        case LimitReached():
            stop = Stop(code=error.code, used=error.value, limit=error.limit, needed=error.needed)
            ledger.stop(claim, stop)
            end = TurnEnd(said=describe(stop))
        case Cancelled():
            ledger.stop(claim, Stop(code=StopCode.CANCELLED))
            end = TurnEnd(said="cancelled")
        case Paused() | BatchReserved():
            pause = BATCH_PAUSE_SECONDS if isinstance(error, BatchReserved) else 0.0
            ledger.hand_over(claim, lane, delay_seconds=pause)
            end = TurnEnd(said="waits for its batch" if pause else "paused")
        case DailyLimitReached():
            ledger.wait(claim, lane, str(error), seconds=error.seconds, idle=True)
            end = TurnEnd(said=str(error))
        case DailyReserved():
            # It comes again and again, and would fill the log.
            ledger.wait(claim, lane, str(error), seconds=BATCH_PAUSE_SECONDS, told=True)
            end = TurnEnd(said=str(error))
        case ShuttingDown():
            ledger.hand_over(claim, lane, interrupted=True)
            end = TurnEnd(said="handed back: the worker ends")
        case CloudWaits():
            ledger.wait(claim, Lane.CLOUD, str(error), seconds=error.seconds, told=True)
            end = TurnEnd(said=str(error))
        case NeedsLane():
            ledger.hand_over(claim, error.lane)
            passing(CrashPoint.HANDED_OVER)
            end = TurnEnd(said=f"next: a step on lane {error.lane}")
        case TurnEnded() | DatabaseUnavailable():
            raise error
        case PluginUnavailable():
            ledger.hand_over(claim, lane, fault=str(error), code=StopCode.MISSING_PLUGIN)
            end = TurnEnd(said=str(error), failed=True)
        case JobFailed():
            ledger.stop(claim, Stop(code=error.code, detail=str(error)))
            end = TurnEnd(said=str(error), failed=True)
        case _:
            end = _fault(ledger, claim, lane, error, secrets)
    return end


def _fault(ledger: Ledger, claim: Claim, lane: Lane, error: Exception, secrets: Collection[str]) -> TurnEnd:
    """What may go better another time is tried again; a defect ends the job."""
    if isinstance(error, ServiceFault) or is_exhaustion(error):
        said = f"{error.service}: {error}" if isinstance(error, ServiceFault) else f"worker: {summary(error, secrets)}"
        ledger.hand_over(claim, lane, fault=said)
        return TurnEnd(said=said, failed=True)
    ledger.note(claim, "defect", full_traceback(error, secrets))
    ledger.stop(claim, Stop(code=StopCode.DEFECT, detail=summary(error, secrets)))
    log.error("a defect ended a job", job=claim.job, error=summary(error, secrets))
    return TurnEnd(said=summary(error, secrets), failed=True)
