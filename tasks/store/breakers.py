"""A circuit breaker for each provider of a cloud model, shared by all workers: a row in Postgres. All times are the
database's.

Closed, it lets every request through and counts faults in a row. Open, it lets none through until a moment, and then
one, the probe (half-open): the provider's answer to it closes or opens the circuit again. Every function belongs to a
transaction that holds a job's lease, and locks the provider's row after all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from tasks.store.session import Database
from tasks.types import Health

# While another job's request probes the provider, others look again after this long.
PROBED_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """`faults` in a row open a circuit, for `seconds`. A probe that was not heard of after `probe_seconds` has died,
    and another may be made."""

    faults: int = 5
    seconds: float = 60.0
    probe_seconds: float = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """A provider's circuit: `faults` in a row, `why` the last was one. It has been open since `opened_at`, and lets the
    next request through after `seconds`; both are None where it is closed."""

    provider: str
    faults: int
    why: str
    opened_at: datetime | None
    seconds: float | None

    def __str__(self) -> str:
        if self.opened_at is None or self.seconds is None:
            return f"{self.provider}: closed, {self.faults} faults in a row ({self.why})"
        until = f"for {self.seconds:.0f} s more" if self.seconds > 0 else "until one request has probed it"
        since = self.opened_at.isoformat(timespec="seconds")
        return f"{self.provider}: open since {since}, {until}, after {self.faults} faults in a row ({self.why})"


def admit(connection: Connection, provider: str, job: int, rules: BreakerRules) -> tuple[float, str]:
    """Seconds that a request of `job` to `provider` must wait, and why; 0 where it may be sent now. Of all that wait
    for an open circuit one is let through at its end."""
    row = connection.execute(
        text("""SELECT why, extract(epoch FROM open_until - clock_timestamp())::float AS seconds
                FROM providers WHERE provider = :provider AND open_until IS NOT NULL"""),
        {"provider": provider},
    ).one_or_none()
    if row is None:
        return 0.0, ""
    why = f"the circuit of {provider} is open: {row.why}"
    if row.seconds > 0:
        return row.seconds, why
    probing = connection.execute(
        text("""UPDATE providers SET probe_job = :job,
                       probe_until = clock_timestamp() + make_interval(secs => :seconds)
                WHERE provider = :provider AND open_until <= clock_timestamp()
                  AND (probe_until IS NULL OR probe_until <= clock_timestamp() OR probe_job = :job)"""),
        {"provider": provider, "job": job, "seconds": rules.probe_seconds},
    ).rowcount
    return (0.0, "") if probing else (PROBED_SECONDS, why)


def answered(connection: Connection, provider: str, rules: BreakerRules) -> None:
    """The provider has taken a request: its circuit closes. Its faults count on until one has ended well, for a
    provider that takes each and then fails it is not well."""
    connection.execute(
        text("""UPDATE providers SET open_until = NULL, opened_at = NULL, probe_job = NULL, probe_until = NULL,
                       faults = least(faults, :faults - 1)
                WHERE provider = :provider AND open_until IS NOT NULL"""),
        {"provider": provider, "faults": rules.faults},
    )


def heard(
    connection: Connection, provider: str, job: int, health: Health, why: str, rules: BreakerRules, seconds: float = 0.0
) -> None:
    """What the end of a request of `job` says of its provider. A circuit opens for at least `seconds`."""
    if not provider:  # stored before providers were
        return
    match health:
        case Health.WELL:
            connection.execute(
                text("""UPDATE providers SET faults = 0, open_until = NULL, opened_at = NULL, probe_job = NULL,
                               probe_until = NULL WHERE provider = :provider AND (faults > 0 OR open_until IS NOT NULL)
                     """),
                {"provider": provider},
            )
        case Health.UNKNOWN:
            connection.execute(
                text("""UPDATE providers SET probe_job = NULL, probe_until = NULL
                        WHERE provider = :provider AND probe_job = :job"""),
                {"provider": provider, "job": job},
            )
        case Health.FAULT | Health.UNUSABLE:
            connection.execute(
                text("""INSERT INTO providers AS p (provider) VALUES (:provider) ON CONFLICT (provider) DO NOTHING"""),
                {"provider": provider},
            )
            connection.execute(
                text("""UPDATE providers SET faults = faults + 1, why = :why, probe_job = NULL, probe_until = NULL,
                               opened_at = CASE WHEN :open OR faults + 1 >= :most
                                   THEN coalesce(opened_at, clock_timestamp()) ELSE opened_at END,
                               open_until = CASE WHEN :open OR faults + 1 >= :most
                                   THEN clock_timestamp() + make_interval(secs => :seconds) ELSE open_until END
                        WHERE provider = :provider"""),
                {
                    "provider": provider,
                    "why": why,
                    "open": health is Health.UNUSABLE,
                    "most": rules.faults,
                    "seconds": max(seconds, rules.seconds),
                },
            )


def away(connection: Connection) -> frozenset[str]:
    """The providers whose circuits are open now and let nothing through."""
    query = text("""SELECT provider FROM providers WHERE open_until > clock_timestamp()
                    OR (open_until IS NOT NULL AND probe_until > clock_timestamp())""")
    return frozenset(connection.execute(query).scalars())


def circuits(database: Database) -> tuple[Circuit, ...]:
    """Those that are open, or have faults that would open them. Raises `DatabaseUnavailable`."""
    query = text("""SELECT provider, faults, why, opened_at,
                           extract(epoch FROM open_until - clock_timestamp())::float AS seconds
                    FROM providers WHERE faults > 0 OR open_until IS NOT NULL ORDER BY provider""")
    with database.connect() as connection:
        rows = connection.execute(query).all()
    return tuple(Circuit(**row._mapping) for row in rows)
