"""The limits of a day, as an operator sets them and everybody reads them. Days are UTC's, by the database's clock.

Where spend is held to them is `budgets`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from sqlalchemy import text

from tasks.store import budgets, leases
from tasks.store.session import Database, explained
from tasks.store.summaries import DailyLimit

# Whose limit it is, beside owners' names.
DEPLOYMENT, EACH_OWNER = "", "*"


def set_limits(database: Database, owner: str, amounts: Mapping[str, Decimal | int | float | None]) -> None:
    """Sets limits of a day, by unit; None removes one. Jobs that wait for a day's end look again at once. Raises
    `DatabaseUnavailable`."""
    columns = ", ".join(amounts)
    values = ", ".join(f":{unit}" for unit in amounts)
    changes = ", ".join(f"{unit} = EXCLUDED.{unit}" for unit in amounts)
    with database.begin() as connection, explained():
        connection.execute(
            text(f"""INSERT INTO daily_limits (owner, {columns}) VALUES (:owner, {values})
                     ON CONFLICT (owner) DO UPDATE SET {changes}, set_by = SESSION_USER, set_at = now()"""),  # noqa: S608
            {"owner": owner, **amounts},
        )
        connection.execute(
            text(f"DELETE FROM daily_limits WHERE num_nonnulls({', '.join(budgets.UNITS)}) = 0")  # noqa: S608
        )
        woken = connection.execute(
            text("""WITH waiting AS (
                        SELECT job_id FROM leases WHERE idle_since IS NOT NULL AND run_at > now() AND worker IS NULL
                        FOR UPDATE
                    )
                    UPDATE leases l SET run_at = now(), waits_for = ''
                    FROM waiting w WHERE l.job_id = w.job_id RETURNING l.lane""")
        ).scalars()
        for lane in sorted(set(woken)):
            leases.wake(connection, lane)


def read_limits(database: Database) -> tuple[DailyLimit, ...]:
    """Every limit that the login may see, with what is used of it today and what calls in flight hold: the deployment's
    first, then each owner's who has used something or has one of their own. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        names = connection.execute(
            text("""SELECT owner FROM daily_limits WHERE owner NOT IN ('', '*')
                    UNION SELECT owner FROM owner_usage WHERE hour >= date_trunc('day', now(), 'UTC')
                    AND EXISTS (SELECT 1 FROM daily_limits WHERE owner = '*') UNION SELECT SESSION_USER ORDER BY 1""")
        ).scalars()
        listed = names.all()
        sees_all = connection.execute(
            text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = SESSION_USER")
        ).scalar_one()
        found: dict[tuple[str, str], DailyLimit] = {}
        for name in listed:
            for row in budgets.today(connection, name):
                for unit in budgets.UNITS:
                    if getattr(row, unit) is not None:
                        found[row.owner, unit] = DailyLimit(
                            owner=row.owner,
                            unit=unit,
                            limit=getattr(row, unit),
                            used=getattr(row, f"used_{unit}"),
                            held=getattr(row, f"held_{unit}"),
                            seconds_left=row.seconds_left,
                            part=row.owner == DEPLOYMENT and not sees_all,
                        )
    return tuple(found[key] for key in sorted(found))
