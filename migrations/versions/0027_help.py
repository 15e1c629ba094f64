"""Whether help helped: the best score and value before and after each escalation, in `escalation_history`."""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

VIEW = "escalation_history"
COLUMNS = ("score_before", "value_before", "score_after", "value_after", "accepted")
# The candidates before it, and those that were written with it: up to the next escalation, where it brought anything.
HELP = """
   FROM escalations e CROSS JOIN LATERAL (
       SELECT max(k.score) FILTER (WHERE k.iteration < e.iteration) AS score_before,
              (array_agg(k.value ORDER BY k.fitness DESC) FILTER (WHERE k.iteration < e.iteration
                  AND k.fitness IS NOT NULL))[1] AS value_before,
              max(k.score) FILTER (WHERE k.iteration >= e.iteration AND e.state = 'done') AS score_after,
              (array_agg(k.value ORDER BY k.fitness DESC) FILTER (WHERE k.iteration >= e.iteration
                  AND e.state = 'done' AND k.fitness IS NOT NULL))[1] AS value_after,
              coalesce(bool_or(k.accepted) FILTER (WHERE k.iteration >= e.iteration AND e.state = 'done'), false)
                  AS accepted
       FROM candidates k
       WHERE k.job_id = e.job_id AND k.checked AND k.guard IS NULL AND k.iteration < coalesce((
           SELECT min(n.iteration) FROM escalations n
           WHERE n.job_id = e.job_id AND n.iteration > e.iteration), 2147483647)) h
"""


def upgrade() -> None:
    columns = "".join(f",\n    h.{column}" for column in COLUMNS)
    _redefine("CREATE OR REPLACE VIEW", rf"$re$\s+FROM escalations e;?\s*$$re$, $to${columns}{HELP}$to$")


def downgrade() -> None:
    listed = "".join(rf",\s+h[.]{column}" for column in COLUMNS)
    _redefine(f"DROP VIEW {VIEW}; CREATE VIEW", rf"$re${listed}\s+FROM .*$re$, $to$ FROM escalations e$to$")
    op.execute(f"GRANT SELECT ON {VIEW} TO redraft_reader, redraft_submitter")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {VIEW} TO redraft_worker")


def _redefine(verb: str, change: str) -> None:
    definition = f"regexp_replace(pg_get_viewdef('{VIEW}'::regclass), {change})"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} {VIEW} WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
