"""What each owner has used in each hour: the limits of a day and the shares of the queue rest on it. It must not know
what a limit is."""

from __future__ import annotations

from sqlalchemy import Connection, text

from tasks.budgets import NOTHING, Amounts


def add(
    connection: Connection, owner: str, used: Amounts = NOTHING, *, hours: float = 0.0, iterations: int = 0
) -> None:
    """Adds what a call used, `hours` in which workers held jobs, and `iterations` that began. Until it commits, others
    who add to the same owner's hour wait."""
    connection.execute(
        text("""INSERT INTO owner_usage (owner, hour, engine_seconds, usd, cloud_tokens, local_tokens, hours,
                                         iterations)
                VALUES (:owner, date_trunc('hour', now(), 'UTC'), :seconds, :usd, :cloud_tokens, :local_tokens, :hours,
                        :iterations)
                ON CONFLICT (owner, hour)
                DO UPDATE SET engine_seconds = owner_usage.engine_seconds + EXCLUDED.engine_seconds,
                    usd = owner_usage.usd + EXCLUDED.usd,
                    cloud_tokens = owner_usage.cloud_tokens + EXCLUDED.cloud_tokens,
                    local_tokens = owner_usage.local_tokens + EXCLUDED.local_tokens,
                    hours = owner_usage.hours + EXCLUDED.hours,
                    iterations = owner_usage.iterations + EXCLUDED.iterations"""),
        {
            "owner": owner,
            "seconds": used.gpu_seconds,
            "usd": used.usd,
            "cloud_tokens": used.cloud_tokens,
            "local_tokens": used.local_tokens,
            "hours": hours,
            "iterations": iterations,
        },
    )
