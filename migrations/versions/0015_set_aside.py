"""A call that answers another prompt than the one built now is set aside: kept, billed, and out of the iteration's way.

`set_aside` counts the times within a slot of an iteration; 0 is a call that counts.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KEY = "job_id, iteration, operator, slot, step, check_name, vote, attempt"
COLUMN = "c.set_aside > 0 AS set_aside"


def upgrade() -> None:
    op.execute(f"""ALTER TABLE calls ADD set_aside INTEGER DEFAULT 0 NOT NULL, DROP CONSTRAINT calls_once,
                   ADD CONSTRAINT calls_once UNIQUE ({KEY}, set_aside)""")
    _redefine("CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E',\n    {COLUMN}\n FROM ')")


def downgrade() -> None:
    """What was set aside is not known to the revision before, and its key has no room for it: it is removed."""
    _redefine("DROP VIEW call_history; CREATE VIEW", r"regexp_replace(%s, ',\s+[^,]*set_aside[^,]*(?=\n)', '')")
    op.execute("GRANT SELECT ON call_history TO redraft_reader, redraft_submitter")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON call_history TO redraft_worker")
    op.execute("DELETE FROM calls WHERE set_aside > 0")
    op.execute(f"""ALTER TABLE calls DROP CONSTRAINT calls_once, DROP set_aside,
                   ADD CONSTRAINT calls_once UNIQUE ({KEY})""")


def _redefine(verb: str, change: str) -> None:
    """The view as it stands but for `change`."""
    definition = change % "pg_get_viewdef('call_history'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} call_history WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
