"""What a lost holder cost its job, written by the reaper. Knows nothing of how leases run out."""

from __future__ import annotations

from sqlalchemy import Connection, text


def charge(connection: Connection, job: int, *, epoch: int, worker: str, why: str) -> None:
    """Turns what `epoch` still had reserved into one line of the bill; its lease row must be locked by this
    transaction, and its holder's writes refused from now on."""
    connection.execute(
        text("""
        WITH lost AS (DELETE FROM reservations WHERE job_id = :job AND epoch = :epoch RETURNING *)
        INSERT INTO crashes (job_id, epoch, worker, why, calls, tokens, tokens_at_most, seconds, seconds_at_most)
        SELECT :job, :epoch, :worker, :why, count(*), coalesce(sum(received_tokens), 0), coalesce(sum(tokens), 0),
               coalesce(sum(extract(epoch FROM seen_at - begun_at)), 0),
               coalesce(sum(extract(epoch FROM now() - begun_at)), 0)
        FROM lost"""),
        {"job": job, "epoch": epoch, "worker": worker, "why": why},
    )
