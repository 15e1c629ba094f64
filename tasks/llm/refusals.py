"""What an HTTP error of an OpenAI-compatible provider says of a request: whether it was taken, whether it may be sent
again and when, and whether the provider is well. No I/O; must not know what was asked.

The table behind it, with its sources, is ops/decisions/0035-what-was-surely-not-accepted.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tasks.types import CloudEnd, Health

# Codes and types of a 429 that no waiting mends: the account has no money or no contract.
OUT_OF_MONEY = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "billing_not_active",
        "usage_limit_reached",
        "spend_limit_reached",
    }
)
# What a response that failed, or an error event, says where the model was never run.
NOT_RUN = frozenset({"rate_limit_exceeded", "server_is_overloaded", "slow_down"})
# Of a 404, where the id names no model that is served.
MODEL_GONE = "model_not_found"
# An account's prompts that a filter refused with a 400 are billed at Azure; a request that timed out (408) is, too.
BILLED_FILTER = "content_filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How a request ended that was answered with an HTTP error."""

    end: CloudEnd
    health: Health
    retry_seconds: float | None = None


def refusal(status: int, body: object, headers: Mapping[str, str]) -> Refusal:
    """What an HTTP error means, by its status, the `error` object of its body, and its headers.

    A 503 or 529 counts as not taken only with the provider's own error object: a proxy before it says 503 as well where
    it lost the connection after the request had gone through.
    """
    codes, seconds = error_codes(body), None
    match status:
        case 429 if codes & OUT_OF_MONEY:
            end, health = CloudEnd.REJECTED, Health.UNUSABLE
        case 429:
            end, health, seconds = CloudEnd.BUSY, Health.FAULT, retry_after(headers)
        case 503 | 529 if codes or _message(body):
            end, health, seconds = CloudEnd.BUSY, Health.FAULT, retry_after(headers)
        case 401 | 402:
            end, health = CloudEnd.REJECTED, Health.UNUSABLE
        case 403:
            end, health = CloudEnd.REJECTED, Health.FAULT
        case 404 if MODEL_GONE in codes:
            end, health = CloudEnd.RETIRED, Health.WELL
        case 400 if BILLED_FILTER in codes:
            end, health = CloudEnd.FAILED, Health.WELL
        case _ if status < 500 and status != 408:
            end, health = CloudEnd.REJECTED, Health.WELL
        case _:
            end, health = CloudEnd.LOST, Health.FAULT
    return Refusal(end=end, health=health, retry_seconds=seconds)


def unrun(codes: frozenset[str]) -> Refusal | None:
    """What the codes of a failed response that used nothing, or of an error event before any id, say for certain: that
    the model was not run. None where they don't."""
    if codes & OUT_OF_MONEY:
        return Refusal(end=CloudEnd.REJECTED, health=Health.UNUSABLE)
    return Refusal(end=CloudEnd.BUSY, health=Health.FAULT) if codes & NOT_RUN else None


def error_codes(body: object) -> frozenset[str]:
    """The `code` and `type` of an error object, or of what holds one as `error`."""
    inner = _inner(body)
    return frozenset(str(inner[name]) for name in ("code", "type") if inner.get(name))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the request may be sent again, from `Retry-After-Ms` or from `Retry-After`, which holds seconds or
    a date (RFC 9110, 10.2.3); a date is compared with the server's own, so that no clock of ours counts. None where the
    headers don't say."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is not None or said is None:
        return seconds
    until, now = _date(said), _date(headers.get("date")) or datetime.now(UTC)
    return None if until is None else max(0.0, (until - now).total_seconds())


def _inner(body: object) -> Mapping[str, object]:
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _message(body: object) -> str:
    return str(_inner(body).get("message") or "")


def _number(said: str | None) -> float | None:
    """A finite number of at least nothing."""
    try:
        number = float(said or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _date(said: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(said or "")
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
