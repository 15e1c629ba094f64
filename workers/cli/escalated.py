"""Where an escalation stands, as one line for people and as a document for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.cli import output

if TYPE_CHECKING:
    from tasks.store.escalation_rows import EscalationRow


def line(row: EscalationRow) -> str:
    """What became of it, what it costs, and what happens next or what can be done."""
    if row.open:
        return _running(row)
    match row.state:
        case "done":
            said = f"answered, {output.usd(row.usd)}{_above(row)}"
        case "refused":
            said = f"not sent, for the budget can't pay for it: {row.error}"
        case "unsent":
            said = f"never left: {row.error}; nothing was charged"
        case "unknown":
            said = f"nobody knows whether it was answered ({row.error}); {_bill(row)}"
        case _:
            said = f"no answer: {row.error}; {_charge(row)}"
    return said


def document(row: EscalationRow) -> dict[str, Any]:
    """As `escalation ls --json` writes it."""
    return {
        "escalation": row.escalation,
        "job": row.job,
        "iteration": row.iteration,
        "kind": row.kind,
        "model": row.model,
        "provider": row.provider,
        "state": row.state,
        "says": line(row),
        "response_id": row.response_id,
        "usd": row.usd,
        "reserved_usd": row.reserved_usd,
        "tokens": row.tokens,
        "tries": row.tries,
        "refusals": row.refusals,
        "error": row.error,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "next_at": row.next_at,
        "charged_usd": row.charged_usd,
        "settled_by": row.settled_by,
        "settled_at": row.settled_at,
    }


def _running(row: EscalationRow) -> str:
    most = f"at most {output.usd(row.reserved_usd)} is reserved"
    match row.state:
        case "running":
            return f"{row.provider or 'the cloud'} works at it as {row.response_id}; {most}"
        case "intent":
            return f"about to be sent to {row.provider or 'the cloud'}; {most}"
        case "waiting":
            return f"not accepted {_times(row.refusals)}: {row.error}; {_next(row)}; {most}, nothing is charged"
        case _:
            return f"nothing has left: {row.error}; {_next(row)}; {most}"


def _next(row: EscalationRow) -> str:
    if row.next_at is None or row.next_seconds is None or row.next_seconds <= 0:
        return "it is sent as soon as a worker takes it"
    return f"it is sent at {row.next_at.isoformat(timespec='seconds')}, in {output.duration(row.next_seconds)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _bill(row: EscalationRow) -> str:
    if row.settled_at is None:
        settle = f"`redraft escalation settle {row.job} {row.iteration} --usd X` charges what the bill says"
        return f"charged in full, {output.usd(row.usd)}, and never sent again; {settle}"
    bill = f"{output.usd(row.usd)} by the bill instead of {output.usd(row.charged_usd or row.reserved_usd)}"
    return f"{bill}, as {row.settled_by} said at {row.settled_at.isoformat(timespec='seconds')}"


def _charge(row: EscalationRow) -> str:
    if not row.usd:
        return "nothing was charged"
    whole = row.usd == row.reserved_usd
    if whole:
        return f"charged in full, {output.usd(row.usd)}"
    return f"{output.usd(row.usd)} by the usage it reported{_above(row)}"


def _above(row: EscalationRow) -> str:
    """What was reserved, where that was no upper bound."""
    return f", more than the {output.usd(row.reserved_usd)} that was reserved" if row.usd > row.reserved_usd else ""
