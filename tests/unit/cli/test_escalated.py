"""Each state of an escalation is one line that says what became of it, what it costs, and what can be done."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tasks.store.escalation_rows import EscalationRow
from workers.cli.escalated import document, line

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "escalation": 1,
    "job": 5,
    "iteration": 3,
    "kind": "answer",
    "model": "gpt-5.4",
    "provider": "api.openai.com",
    "state": "done",
    "response_id": None,
    "reserved_usd": Decimal("0.49"),
    "usd": Decimal(0),
    "tokens": 0,
    "tries": 1,
    "refusals": 0,
    "error": "429",
    "created_at": AT,
    "finished_at": AT,
    "next_at": None,
    "next_seconds": None,
    "charged_usd": None,
    "settled_by": None,
    "settled_at": None,
}
OPEN = {"finished_at": None}
NEXT = {"next_at": AT, "next_seconds": 90.0}


def row(**fields: Any) -> EscalationRow:
    return EscalationRow(**{**PLAIN, **fields})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({**OPEN, "state": "intent"}, "about to be sent to api.openai.com; at most $0.49 is reserved"),
        (
            {**OPEN, "state": "running", "response_id": "r1"},
            "api.openai.com works at it as r1; at most $0.49 is reserved",
        ),
        (
            {**OPEN, **NEXT, "state": "waiting", "refusals": 2},
            "not accepted 2 times: 429; it is sent at 2026-03-01T12:30:00+00:00, in 1m30s; at most $0.49 is reserved, "
            "nothing is charged",
        ),
        (
            {**OPEN, "state": "unsent", "error": "the circuit is open"},
            "nothing has left: the circuit is open; it is sent as soon as a worker takes it; at most $0.49 is reserved",
        ),
        ({"usd": Decimal("0.12")}, "answered, $0.12"),
        ({"state": "refused", "error": "0.1 left"}, "not sent, for the budget can't pay for it: 0.1 left"),
        ({"state": "unsent", "error": "no route"}, "never left: no route; nothing was charged"),
        ({"state": "failed"}, "no answer: 429; nothing was charged"),
        ({"state": "failed", "usd": Decimal("0.49")}, "no answer: 429; charged in full, $0.49"),
        ({"state": "failed", "usd": Decimal("0.02")}, "no answer: 429; $0.02 by the usage it reported"),
        (
            {"state": "unknown", "usd": Decimal("0.49"), "error": "hung up"},
            "nobody knows whether it was answered (hung up); charged in full, $0.49, and never sent again; "
            "`redraft escalation settle 5 3 --usd X` charges what the bill says",
        ),
        (
            {
                "state": "unknown",
                "usd": Decimal("0.10"),
                "error": "hung up",
                "charged_usd": Decimal("0.49"),
                "settled_by": "ada as fleet",
                "settled_at": AT,
            },
            "nobody knows whether it was answered (hung up); $0.10 by the bill instead of $0.49, as ada as fleet said "
            "at 2026-03-01T12:30:00+00:00",
        ),
    ],
)
def test_each_state_is_one_line(fields: dict[str, Any], said: str) -> None:
    assert line(row(**fields)) == said


def test_a_program_gets_the_line_and_each_field() -> None:
    made = document(row(state="failed"))
    assert made["says"] == "no answer: 429; nothing was charged"
    assert set(made) == set(PLAIN) - {"next_seconds"} | {"says"}
