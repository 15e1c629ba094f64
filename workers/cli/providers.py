"""What `redraft doctor` and `redraft status` say of the providers of cloud models: open circuits, and requests whose
cost nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workers.cli.findings import Finding

if TYPE_CHECKING:
    from tasks.store.breakers import Circuit


def findings() -> Iterator[Finding]:
    """One for each circuit that is not well, and one for each escalation to settle; none where the database is away,
    for another check says so."""
    from tasks.client import Client
    from tasks.errors import DatabaseUnavailable
    from workers.addresses import worker_database_url
    from workers.cli import escalated

    try:
        with Client(worker_database_url(), name="redraft doctor", pool=1) as client:
            circuits, unsettled = client.circuits(), client.escalations(unsettled=True)
    except DatabaseUnavailable:
        return
    for circuit in circuits:
        opened = circuit.opened_at is not None
        advice = "nothing is sent to it until then; requests wait, or their jobs go on locally" if opened else ""
        yield Finding(name="circuit", outcome="warn" if opened else "ok", detail=str(circuit), advice=advice)
    for row in unsettled:
        detail = f"job {row.job}, iteration {row.iteration}, {row.kind} of {row.model}: {escalated.line(row)}"
        yield Finding(name="unknown", outcome="warn", detail=detail)


def open_circuits() -> tuple[Circuit, ...]:
    """Those that let nothing through, or only a probe; none where the database does not answer."""
    from tasks.client import Client
    from tasks.errors import DatabaseUnavailable
    from workers.addresses import database_url

    try:
        with Client(database_url(), name="redraft status", pool=1) as client:
            return tuple(circuit for circuit in client.circuits() if circuit.opened_at is not None)
    except DatabaseUnavailable:
        return ()
