"""What was spent, added up over the documented views, of the login's own jobs. An escalation is a call, too."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import text

from tasks.store.session import Database, explained
from tasks.store.summaries import CostRow


class CostBy(StrEnum):
    """What spend is added up by. Days are UTC's; jobs of no batch are `-`, and calls that ask for no help `local`."""

    JOB = "job"
    OWNER = "owner"
    MODEL = "model"
    DAY = "day"
    BATCH = "batch"
    HELP = "help"


_GROUPS = {
    CostBy.JOB: "j.job",
    CostBy.OWNER: "j.owner",
    CostBy.MODEL: "s.model",
    CostBy.HELP: """coalesce((SELECT e.kind FROM escalation_history e
        WHERE s.operator = 'escalate' AND e.job = s.job AND e.iteration = s.iteration), 'local')""",
    CostBy.BATCH: "coalesce(j.batch::text, '-')",
    CostBy.DAY: "(s.created_at AT TIME ZONE 'UTC')::date",
}
_COSTS = """
SELECT {group}::text AS of, count(*) AS calls, count(DISTINCT j.job) AS jobs,
       sum(s.prompt_tokens)::bigint AS prompt_tokens, sum(s.cached_tokens)::bigint AS cached_tokens,
       sum(s.completion_tokens)::bigint AS completion_tokens, sum(s.usd) AS usd, sum(s.seconds)::float AS seconds
FROM call_history s JOIN job_summary j ON j.job = s.job GROUP BY {group} ORDER BY {group}
"""


def costs(database: Database, by: CostBy) -> tuple[CostRow, ...]:
    """What was spent, in the order of the groups' names. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return tuple(
            CostRow(
                of=row.of,
                jobs=row.jobs,
                calls=row.calls,
                prompt_tokens=row.prompt_tokens,
                cached_tokens=row.cached_tokens,
                completion_tokens=row.completion_tokens,
                usd=row.usd,
                seconds=row.seconds,
            )
            for row in connection.execute(text(_COSTS.format(group=_GROUPS[by])))
        )
