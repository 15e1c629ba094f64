"""Requests to the cloud that were not accepted wait and are sent again, a circuit breaker for each provider, and what
the operator says of a request whose cost nobody knew."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

TABLE = """
-- The circuit breaker of each provider of a cloud model: open until `open_until`, half-open from then on, closed where
-- it is null. Nobody's rows: every user may see which provider is away.
CREATE TABLE providers (
    provider TEXT PRIMARY KEY,
    faults INTEGER DEFAULT 0 NOT NULL,
    why TEXT DEFAULT '' NOT NULL,
    opened_at TIMESTAMPTZ,
    open_until TIMESTAMPTZ,
    probe_job BIGINT,
    probe_until TIMESTAMPTZ
);
GRANT SELECT ON providers TO redraft_reader, redraft_submitter;
GRANT SELECT, INSERT, UPDATE, DELETE ON providers TO redraft_worker;
ALTER TABLE escalations
    ADD provider TEXT DEFAULT '' NOT NULL,
    ADD tries INTEGER DEFAULT 0 NOT NULL,
    ADD refusals INTEGER DEFAULT 0 NOT NULL,
    ADD waits_since TIMESTAMPTZ,
    ADD next_at TIMESTAMPTZ,
    ADD settled_by TEXT,
    ADD settled_at TIMESTAMPTZ,
    ADD charged_usd NUMERIC(14, 6);
"""
NEW = ("provider", "tries", "refusals", "next_at", "settled_by", "settled_at", "charged_usd")


def upgrade() -> None:
    op.execute(TABLE)
    new = "".join(rf",\n    e.{name}" for name in NEW)
    _redefine("CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E'{new}\n FROM ')")


def downgrade() -> None:
    gone = "|".join(NEW)
    _redefine("DROP VIEW escalation_history; CREATE VIEW", rf"regexp_replace(%s, ',\s+e[.]({gone})\M', '', 'g')")
    op.execute("GRANT SELECT ON escalation_history TO redraft_reader, redraft_submitter")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON escalation_history TO redraft_worker")
    op.execute("""UPDATE escalations SET state = 'unsent' WHERE state = 'waiting';
                  ALTER TABLE escalations DROP provider, DROP tries, DROP refusals, DROP waits_since, DROP next_at,
                      DROP settled_by, DROP settled_at, DROP charged_usd;
                  DROP TABLE providers""")


def _redefine(verb: str, change: str) -> None:
    definition = change % "pg_get_viewdef('escalation_history'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} escalation_history WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
