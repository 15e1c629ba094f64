"""A wait for the end of a day counts when it is over, not when it begins: one that is cut short counts as it was."""

from __future__ import annotations

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

ENDS = "redraft_wait_ends(bigint)"
NEW = """
UPDATE jobs j SET idle_seconds = greatest(0, j.idle_seconds - extract(epoch FROM l.idle_until - now()))
    FROM leases l WHERE l.job_id = j.id AND l.worker IS NULL AND l.idle_until > now();
UPDATE leases SET idle_until = CASE WHEN worker IS NULL AND idle_until > now() THEN now() END
    WHERE idle_until IS NOT NULL;
-- Since when the hours of its job stand still, up to `run_at`.
ALTER TABLE leases RENAME idle_until TO idle_since;
CREATE FUNCTION public.redraft_wait_ends(job bigint) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
-- For the functions beside it, which have locked the job's lease row: what it has waited does not count as hours, and
-- where it goes on it looks at once whether it still has to wait.
BEGIN
    UPDATE public.jobs j SET idle_seconds = j.idle_seconds + extract(epoch FROM least(now(), l.run_at) - l.idle_since)
        FROM public.leases l WHERE j.id = job AND l.job_id = job AND l.idle_since IS NOT NULL;
    UPDATE public.leases SET idle_since = NULL, waits_for = '', run_at = now()
        WHERE job_id = job AND idle_since IS NOT NULL;
END $$;
"""
OLD = """
DROP FUNCTION public.redraft_wait_ends(bigint);
UPDATE jobs j SET idle_seconds = j.idle_seconds + extract(epoch FROM l.run_at - l.idle_since)
    FROM leases l WHERE l.job_id = j.id AND l.idle_since IS NOT NULL;
UPDATE leases SET idle_since = run_at WHERE idle_since IS NOT NULL;
ALTER TABLE leases RENAME idle_since TO idle_until;
"""
CHANGES = {
    "redraft_pause(bigint)": [
        (
            "    IF holder IS NULL THEN\n        UPDATE public.leases SET runnable = false WHERE",
            "    IF holder IS NULL THEN\n        PERFORM public.redraft_wait_ends(job);\n"
            "        UPDATE public.leases SET runnable = false WHERE",
        )
    ],
    "redraft_cancel(bigint)": [
        (
            "    IF holder IS NULL THEN\n        UPDATE public.leases SET runnable = false,",
            "    IF holder IS NULL THEN\n        PERFORM public.redraft_wait_ends(job);\n"
            "        UPDATE public.leases SET runnable = false,",
        )
    ],
    "redraft_edit(bigint, numeric, double precision, integer, bigint, integer, text[], text, jsonb, bigint)": [
        (
            "coalesce(old.paused_at,\n                now()) - old.started_at)",
            "coalesce(old.paused_at,\n                (SELECT l.idle_since FROM public.leases l WHERE l.job_id = job), "
            "now()) - old.started_at)",
        )
    ],
}


def upgrade() -> None:
    op.execute(NEW)
    op.execute("GRANT CREATE ON SCHEMA public TO redraft_owner")
    op.execute(f"ALTER FUNCTION public.{ENDS} OWNER TO redraft_owner")
    op.execute("REVOKE CREATE ON SCHEMA public FROM redraft_owner")
    op.execute(f"REVOKE ALL ON FUNCTION public.{ENDS} FROM PUBLIC")
    for function, parts in CHANGES.items():
        _redefine(function, parts)


def downgrade() -> None:
    for function, parts in CHANGES.items():
        _redefine(function, [(after, before) for before, after in parts])
    op.execute(OLD)


def _redefine(function: str, parts: list[tuple[str, str]]) -> None:
    steps = "".join(
        f"""
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION '% is not the one that this migration changes: {number}', '{function}';
        END IF;
        body := replace(body, $text${before}$text$, $text${after}$text$);"""
        for number, (before, after) in enumerate(parts)
    )
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{function}'::regprocedure);
    BEGIN{steps}
        EXECUTE body;
    END $do$""")
