"""Hours and iterations of a day, of an owner and of the deployment; since when a lease is held."""

from __future__ import annotations

from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

ADDED = """
ALTER TABLE leases ADD held_since TIMESTAMPTZ;
ALTER TABLE owner_usage ADD hours DOUBLE PRECISION DEFAULT 0 NOT NULL, ADD iterations BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE daily_limits ADD hours DOUBLE PRECISION, ADD iterations BIGINT,
    ADD CONSTRAINT daily_limits_time CHECK (hours >= 0 AND iterations >= 0);
"""
DROPPED = """
DELETE FROM daily_limits WHERE num_nonnulls(usd, cloud_tokens, local_tokens, gpu_seconds) = 0;
DELETE FROM daily_warnings WHERE unit IN ('hours', 'iterations');
ALTER TABLE daily_limits DROP hours, DROP iterations;
ALTER TABLE owner_usage DROP hours, DROP iterations;
ALTER TABLE leases DROP held_since;
"""
METRICS = "redraft_metrics()"
PARTS = [
    (
        "sum(u.engine_seconds)::numeric AS gpu_seconds\n    FROM public.owner_usage u",
        "sum(u.engine_seconds)::numeric AS gpu_seconds, sum(u.hours)::numeric AS hours,\n"
        "           sum(u.iterations) AS iterations\n    FROM public.owner_usage u",
    ),
    (
        "sum(u.gpu_seconds) AS gpu_seconds FROM used u)",
        "sum(u.gpu_seconds) AS gpu_seconds, sum(u.hours) AS hours, sum(u.iterations) AS iterations FROM used u)",
    ),
    (
        "('gpu_seconds', s.gpu_seconds, d.gpu_seconds::numeric))",
        "('gpu_seconds', s.gpu_seconds, d.gpu_seconds::numeric), ('hours', s.hours, d.hours::numeric),\n"
        "        ('iterations', s.iterations, d.iterations))",
    ),
    (
        "('gpu_seconds', s.gpu_seconds, coalesce(o.gpu_seconds, e.gpu_seconds)::numeric))",
        "('gpu_seconds', s.gpu_seconds, coalesce(o.gpu_seconds, e.gpu_seconds)::numeric),\n"
        "        ('hours', s.hours, coalesce(o.hours, e.hours)::numeric),\n"
        "        ('iterations', s.iterations, coalesce(o.iterations, e.iterations)))",
    ),
]


def upgrade() -> None:
    op.execute(ADDED)
    _redefine(METRICS, PARTS)


def downgrade() -> None:
    _redefine(METRICS, [(after, before) for before, after in PARTS])
    op.execute(DROPPED)


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
