"""The tables, for building statements. The migrations make them; a test holds the two together.

Row-level security, roles, triggers and views live in the migrations only.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()
_USD = Numeric(14, 6)
_NOW = text("now()")
_ZERO = text("0")
# Rows lie in the order of their moment, more or less: a range of it costs a few pages, and a row's insertion nothing.
_BY_TIME: dict[str, Any] = {
    "postgresql_using": "brin",
    "postgresql_with": {"pages_per_range": 16, "autosummarize": "on"},
}
_WAITS = text("runnable AND worker IS NULL")
# Priority gains one point for each this many seconds a job has waited since it was last served, up to that of the most
# urgent job that waits: past it, whoever submits most would age past everybody else. The column is made with it, so
# another value takes a migration.
AGEING_SECONDS = 1800.0
# Among the jobs of an owner that wait: the lower, the sooner.
_QUEUE_RANK = f"extract(epoch FROM waiting_since - TIMESTAMPTZ '1970-01-01 00:00:00+00') / {AGEING_SECONDS} - priority"


def _moment(name: str, *, required: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not required, server_default=_NOW if required else None)


def _job(**keywords: object) -> Column[int]:
    return Column("job_id", BigInteger, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, **keywords)  # type: ignore[arg-type]


# Jobs of one owner with one budget; a budget that is null is no limit.
batches = Table(
    "batches",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    Column("owner", Text, nullable=False, server_default=text("SESSION_USER")),
    Column("budget_tokens", BigInteger),
    Column("budget_usd", _USD),
    Column("budget_hours", Double),
    Column("tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("usd", _USD, nullable=False, server_default=_ZERO),
    _moment("submitted_at", required=True),
    _moment("started_at"),
    UniqueConstraint("owner", "id", name="batches_owner"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    Column("owner", Text, nullable=False, server_default=text("SESSION_USER")),
    Column("key", Text),
    Column("spec_hash", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("checks", JSONB, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("egress", Text, nullable=False),
    Column("priority", Integer, nullable=False, server_default=_ZERO),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("seed", BigInteger, nullable=False, server_default=_ZERO),
    Column("budget_usd", _USD, nullable=False),
    Column("budget_hours", Double, nullable=False),
    Column("budget_iterations", Integer, nullable=False),
    Column("budget_tokens", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("acceptance", Text),
    Column("iterations", Integer, nullable=False, server_default=_ZERO),
    Column("score", Double),
    Column("value", Double),
    Column("answer", Text),
    Column("answer_iteration", Integer),
    Column("answer_slot", Integer),
    Column("spent_usd", _USD, nullable=False, server_default=_ZERO),
    Column("over_usd", _USD, nullable=False, server_default=_ZERO),
    Column("over_local_tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("over_cloud_tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("local_tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("cloud_tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("engine_seconds", Double, nullable=False, server_default=_ZERO),
    Column("crashes", Integer, nullable=False, server_default=_ZERO),
    Column("faults", Integer, nullable=False, server_default=_ZERO),
    Column("cancel_requested_at", DateTime(timezone=True)),
    Column("pause_requested_at", DateTime(timezone=True)),
    Column("memory", Boolean, nullable=False, server_default=text("true")),
    Column("recalled", JSONB),
    Column("attachments", JSONB, nullable=False, server_default=text("'[]'")),
    Column("forked_from", BigInteger),
    Column("forked_iteration", Integer),
    _moment("submitted_at", required=True),
    _moment("started_at"),
    _moment("finished_at"),
    _moment("paused_at"),
    Column("idle_seconds", Double, nullable=False, server_default=_ZERO),
    Column("lesson_due", Boolean, nullable=False, server_default=text("false")),
    Column("moved_up", Boolean, nullable=False, server_default=text("false")),
    Column("retries", Integer, nullable=False, server_default=_ZERO),
    Column("stop_code", Text),
    Column("stop_used", Double),
    Column("stop_limit", Double),
    Column("stop_needed", Double),
    Column("stop_detail", Text, nullable=False, server_default=text("''")),
    Column("stop_value", Double),
    Column("stop_ended_by", Text),
    Column("lesson_stop_code", Text),
    Column("cut", Boolean, nullable=False, server_default=text("false")),
    Column("model", Text, nullable=False, server_default=text("''")),
    Column("budget_completion_tokens", BigInteger),
    Column("batch_id", BigInteger),
    Column("files", JSONB, nullable=False, server_default=text("'{}'")),
    Column("ask", Boolean, nullable=False, server_default=text("false")),
    Column("ask_hours", Double, nullable=False, server_default=text("24")),
    Column("temperature", Double),
    Column("budget_local_tokens", BigInteger),
    Column("budget_cloud_tokens", BigInteger),
    Column("budget_gpu_seconds", Double),
    Column("checks_since", Integer, nullable=False, server_default=text("1")),
    Column("start", Text, nullable=False, server_default=text("''")),
    Column("budget_evaluations", BigInteger),
    ForeignKeyConstraint(["owner", "batch_id"], ["batches.owner", "batches.id"], name="jobs_batch"),
    UniqueConstraint("owner", "key", name="jobs_owner_key"),
    Index("jobs_owner_state", "owner", "state", "id"),
    Index("jobs_batch_id", "batch_id", "id", postgresql_where=text("batch_id IS NOT NULL")),
)

# Narrow, for it is written at every claim, renewal and release.
leases = Table(
    "leases",
    metadata,
    _job(primary_key=True, autoincrement=False),
    Column("owner", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("runnable", Boolean, nullable=False, server_default=text("true")),
    _moment("run_at", required=True),
    Column("epoch", BigInteger, nullable=False, server_default=_ZERO),
    Column("worker", Text),
    Column("turn", Text),
    Column("stale_task_id", Text),
    _moment("lease_until"),
    Column("last_worker", Text),
    _moment("waiting_since", required=True),
    Column("live_tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("phase", Text, nullable=False, server_default=text("''")),
    Column("needs", ARRAY(Text), nullable=False, server_default=text("'{text}'")),
    _moment("progress_at", required=True),
    Column("interrupted", Boolean, nullable=False, server_default=text("false")),
    Column("queue_rank", Double, Computed(_QUEUE_RANK, persisted=True), nullable=False),
    Column("context_above", Integer, nullable=False, server_default=_ZERO),
    Column("batch_first", BigInteger),
    Column("batch_rank", Double, nullable=False, server_default=_ZERO),
    Column("waits_for", Text, nullable=False, server_default=text("''")),
    _moment("idle_since"),
    _moment("held_since"),
    Index("leases_interrupted", "lane", postgresql_where=text("interrupted AND runnable AND worker IS NULL")),
    Index("leases_priority", "lane", "priority", postgresql_where=_WAITS),
    Index("leases_queue_rank", "lane", "owner", "queue_rank", postgresql_where=_WAITS),
    Index(
        "leases_turn",
        "lane",
        "owner",
        text("coalesce(batch_first, job_id)"),
        "batch_rank",
        "job_id",
        postgresql_where=_WAITS,
    ),
    Index("leases_own", "last_worker", "job_id", postgresql_where=_WAITS),
    Index("leases_held", "lease_until", postgresql_where=text("worker IS NOT NULL")),
)

reservations = Table(
    "reservations",
    metadata,
    _job(primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("iteration", Integer, primary_key=True),
    Column("operator", Text, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Column("received_tokens", BigInteger, nullable=False, server_default=_ZERO),
    _moment("begun_at", required=True),
    _moment("seen_at", required=True),
    Column("step", Text, primary_key=True, server_default=text("''")),
    Column("check_name", Text, primary_key=True, server_default=text("''")),
    Column("vote", Integer, primary_key=True, server_default=_ZERO),
    Column("completion_tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("seconds", Double, nullable=False, server_default=_ZERO),
)

# The end of what each call is writing now; unlogged, and gone with the call.
live_text = Table(
    "live_text",
    metadata,
    _job(primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("iteration", Integer, primary_key=True),
    Column("operator", Text, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("step", Text, primary_key=True, server_default=text("''")),
    Column("check_name", Text, primary_key=True, server_default=text("''")),
    Column("vote", Integer, primary_key=True, server_default=_ZERO),
    Column("text", Text, nullable=False),
    Column("thoughts", Text, nullable=False),
    Column("chars", BigInteger, nullable=False),
    Column("thought_chars", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    _moment("seen_at", required=True),
    prefixes=["UNLOGGED"],
)

# A holder that was lost, and what went with it.
crashes = Table(
    "crashes",
    metadata,
    _job(primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("worker", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("tokens_at_most", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("seconds_at_most", Double, nullable=False),
    _moment("at", required=True),
)

iterations = Table(
    "iterations",
    metadata,
    _job(primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("operator", Text, nullable=False),
    Column("move", JSONB, nullable=False),
    Column("decision", Text, nullable=False, server_default=text("''")),
    Column("next_operator", Text),
    Column("stop_code", Text),
    Column("best_slot", Integer),
    Column("score", Double),
    Column("worker", Text),
    Column("epoch", BigInteger),
    _moment("started_at"),
    _moment("finished_at"),
    Column("inputs", ARRAY(Text)),
    Column("improved", Boolean, nullable=False, server_default=text("false")),
    Column("hint", Text, nullable=False, server_default=text("''")),
    Index("iterations_finished", "finished_at", **_BY_TIME),
)

candidates = Table(
    "candidates",
    metadata,
    Column("job_id", BigInteger, primary_key=True),
    Column("iteration", Integer, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("operator", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("root_iteration", Integer, nullable=False),
    Column("root_slot", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("parent_iteration", Integer),
    Column("parent_slot", Integer),
    Column("guard", Text),
    Column("let_through", Text),
    Column("score", Double, nullable=False, server_default=_ZERO),
    Column("accepted", Boolean, nullable=False, server_default=text("false")),
    Column("checked", Boolean, nullable=False, server_default=text("false")),
    Column("behaviour", Text),
    Column("repeats_iteration", Integer),
    Column("repeats_slot", Integer),
    Column("objection", Text, nullable=False, server_default=text("''")),
    Column("value", Double),
    Column("fitness", Double),
    _moment("created_at", required=True),
    ForeignKeyConstraint(["job_id", "iteration"], ["iterations.job_id", "iterations.number"], ondelete="CASCADE"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("job_id", BigInteger, primary_key=True),
    Column("iteration", Integer, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("check_name", Text, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("held_out", Boolean, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("score", Double, nullable=False),
    Column("feedback", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("worker", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    _moment("created_at", required=True),
    Column("isolation", Text, nullable=False, server_default=""),
    Column("value", Double),
    Column("metrics", JSONB, nullable=False, server_default=text("'{}'")),
    ForeignKeyConstraint(
        ["job_id", "iteration", "slot"],
        ["candidates.job_id", "candidates.iteration", "candidates.slot"],
        ondelete="CASCADE",
    ),
    Index("verdicts_created", "created_at", postgresql_include=["job_id", "kind", "seconds"]),
)

calls = Table(
    "calls",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    _job(),
    Column("iteration", Integer, nullable=False),
    Column("operator", Text, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("engine", Text, nullable=False, server_default=text("''")),
    Column("request", JSONB, nullable=False),
    Column("prompt_hash", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("reasoning", Text, nullable=False, server_default=text("''")),
    Column("finish_reason", Text, nullable=False),
    Column("guard", JSONB),
    Column("prompt_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("usd", _USD, nullable=False, server_default=_ZERO),
    Column("seconds", Double, nullable=False),
    Column("worker", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    _moment("created_at", required=True),
    Column("step", Text, nullable=False, server_default=text("''")),
    Column("check_name", Text, nullable=False, server_default=text("''")),
    Column("vote", Integer, nullable=False, server_default=_ZERO),
    Column("omissions", JSONB, nullable=False, server_default=text("'[]'")),
    Column("set_aside", Integer, nullable=False, server_default=_ZERO),
    UniqueConstraint(
        "job_id",
        "iteration",
        "operator",
        "slot",
        "step",
        "check_name",
        "vote",
        "attempt",
        "set_aside",
        name="calls_once",
    ),
    Index("calls_created", "created_at", postgresql_include=["job_id", "completion_tokens", "usd", "seconds"]),
    Index("calls_omissions", "job_id", postgresql_where=text("omissions <> '[]'::jsonb")),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    _job(),
    _moment("at", required=True),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=text("''")),
    Index("events_job", "job_id", "id"),
    Index("events_at", "at", **_BY_TIME),
)

# An effect of no job, such as an engine's outage, names none.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    Column("job_id", BigInteger, ForeignKey("jobs.id", ondelete="CASCADE")),
    Column("topic", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=_ZERO),
    Column("last_error", Text, nullable=False, server_default=text("''")),
    _moment("deliver_at", required=True),
    _moment("delivered_at"),
    _moment("created_at", required=True),
    _moment("given_up_at"),
    Index("outbox_due", "deliver_at", postgresql_where=text("delivered_at IS NULL AND given_up_at IS NULL")),
    Index("outbox_undelivered", "topic", postgresql_where=text("delivered_at IS NULL")),
)

# Whom the outbox tells of events, as the relay's settings name them; where each is reached is known to the relay alone.
hooks = Table(
    "hooks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("events", ARRAY(Text), nullable=False),
    Column("delivered", BigInteger, nullable=False, server_default=_ZERO),
    _moment("delivered_at"),
    _moment("gone_at"),
)

# Of an engine's host, once its outage was told.
engine_outages = Table(
    "engine_outages",
    metadata,
    Column("host", Text, primary_key=True),
    Column("why", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    _moment("told_at", required=True),
)

hints = Table(
    "hints",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    _job(),
    Column("text", Text, nullable=False),
    Column("given_by", Text, nullable=False),
    Column("question", Text, nullable=False, server_default=text("''")),
    Column("iteration", Integer),
    _moment("created_at", required=True),
    _moment("taken_at"),
    Index("hints_job", "job_id", "id"),
)

edits = Table(
    "edits",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    _job(),
    Column("given_by", Text, nullable=False),
    _moment("created_at", required=True),
    Column("before", JSONB, nullable=False),
    Column("after", JSONB, nullable=False),
    Column("iterations", Integer, nullable=False),
    Column("title", Text),
    Column("checks", JSONB),
    Column("checks_before", JSONB),
    Column("waits", Boolean, nullable=False, server_default=text("false")),
    Column("iteration", Integer),
    Index("edits_job", "job_id", "id"),
    Index("edits_waiting", "job_id", postgresql_where=text("waits")),
)

questions = Table(
    "questions",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    _job(),
    Column("iteration", Integer, nullable=False),
    Column("text", Text, nullable=False),
    _moment("asked_at", required=True),
    Column("answer_until", DateTime(timezone=True), nullable=False),
    _moment("closed_at"),
    UniqueConstraint("job_id", "iteration", name="questions_once"),
    Index("questions_open", "job_id", unique=True, postgresql_where=text("closed_at IS NULL")),
    Index("questions_due", "answer_until", postgresql_where=text("closed_at IS NULL")),
)

lessons = Table(
    "lessons",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    _job(),
    Column("owner", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("situation", Text, nullable=False),
    Column("advice", Text, nullable=False),
    Column("avoid", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("helped", Integer, nullable=False, server_default=_ZERO),
    Column("hurt", Integer, nullable=False, server_default=_ZERO),
    Column("seen", Integer, nullable=False, server_default=text("1")),
    _moment("quarantined_at"),
    _moment("created_at", required=True),
    Column("family", Text, nullable=False, server_default=text("''")),
    Column("duplicate_of", BigInteger),
    Index("lessons_job", "job_id"),
)

escalations = Table(
    "escalations",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    _job(),
    Column("iteration", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("response_id", Text),
    Column("request", JSONB, nullable=False),
    Column("text", Text, nullable=False, server_default=text("''")),
    Column("reserved_usd", _USD, nullable=False, server_default=_ZERO),
    Column("usd", _USD, nullable=False, server_default=_ZERO),
    Column("prompt_tokens", Integer, nullable=False, server_default=_ZERO),
    Column("cached_tokens", Integer, nullable=False, server_default=_ZERO),
    Column("completion_tokens", Integer, nullable=False, server_default=_ZERO),
    _moment("created_at", required=True),
    _moment("finished_at"),
    Column("epoch", BigInteger, nullable=False, server_default=_ZERO),
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("omissions", JSONB, nullable=False, server_default=text("'[]'")),
    Column("request_sha256", Text, nullable=False, server_default=text("''")),
    Column("redactions", JSONB, nullable=False, server_default=text("'[]'")),
    Column("provider", Text, nullable=False, server_default=text("''")),
    Column("tries", Integer, nullable=False, server_default=_ZERO),
    Column("refusals", Integer, nullable=False, server_default=_ZERO),
    _moment("waits_since"),
    _moment("next_at"),
    Column("settled_by", Text),
    _moment("settled_at"),
    Column("charged_usd", _USD),
    UniqueConstraint("job_id", "iteration", "kind", name="escalations_once"),
    Index("escalations_open", "job_id", postgresql_where=text("finished_at IS NULL")),
    Index("escalations_unsettled", "job_id", postgresql_where=text("state = 'unknown' AND settled_at IS NULL")),
)

# The circuit breaker of each provider of a cloud model.
providers = Table(
    "providers",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("faults", Integer, nullable=False, server_default=_ZERO),
    Column("why", Text, nullable=False, server_default=text("''")),
    _moment("opened_at"),
    _moment("open_until"),
    Column("probe_job", BigInteger),
    _moment("probe_until"),
)

# By content, so that a file handed in with a hundred jobs is kept once an owner.
attachments = Table(
    "attachments",
    metadata,
    Column("owner", Text, primary_key=True, server_default=text("SESSION_USER")),
    Column("sha256", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    _moment("created_at", required=True),
)

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("lanes", ARRAY(Text), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("model", Text, nullable=False, server_default=text("''")),
    Column("version", Text, nullable=False),
    _moment("started_at", required=True),
    _moment("seen_at", required=True),
    Column("modalities", ARRAY(Text), nullable=False, server_default=text("'{text}'")),
    Column("context_tokens", Integer, nullable=False, server_default=_ZERO),
    Column("answer_tokens", Integer, nullable=False, server_default=_ZERO),
    Column("models", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("closed_lanes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("engine_fault", Text, nullable=False, server_default=text("''")),
    _moment("engine_fault_at"),
    _moment("engine_restarted_at"),
    Column("engine_running", Integer),
    Column("engine_waiting", Integer),
    Column("engine_kv_usage", Double),
    Column("engine_slots", Integer),
)

# Counts of what happened before the moment in the row `counted_until`, which is in seconds since 1970.
metric_totals = Table(
    "metric_totals",
    metadata,
    Column("name", Text, primary_key=True),
    Column("labels", JSONB, primary_key=True),
    Column("value", Double, nullable=False),
)

# When each background task of a process last did what it is for.
background_tasks = Table(
    "background_tasks",
    metadata,
    Column("process", Text, primary_key=True),
    Column("part", Text, nullable=False),
    Column("task", Text, primary_key=True),
    _moment("succeeded_at", required=True),
    _moment("seen_at", required=True),
)

owner_usage = Table(
    "owner_usage",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("engine_seconds", Double, nullable=False),
    Column("usd", _USD, nullable=False, server_default=_ZERO),
    Column("cloud_tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("local_tokens", BigInteger, nullable=False, server_default=_ZERO),
    Column("hours", Double, nullable=False, server_default=_ZERO),
    Column("iterations", BigInteger, nullable=False, server_default=_ZERO),
    Index("owner_usage_hour", "hour"),
)

# Of a day in UTC: the owner '' is the whole deployment, '*' each owner without a number of its own.
daily_limits = Table(
    "daily_limits",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("usd", _USD),
    Column("cloud_tokens", BigInteger),
    Column("local_tokens", BigInteger),
    Column("gpu_seconds", Double),
    Column("hours", Double),
    Column("iterations", BigInteger),
    Column("set_by", Text, nullable=False, server_default=text("SESSION_USER")),
    _moment("set_at", required=True),
)

daily_warnings = Table(
    "daily_warnings",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("percent", Integer, primary_key=True, autoincrement=False),
)

# Of the iterations of an owner's batches: how many solved their job, by what was known of it before.
family_counts = Table(
    "family_counts",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("family", Text, primary_key=True),
    Column("earlier", Integer, primary_key=True, autoincrement=False),
    Column("partly", Boolean, primary_key=True),
    Column("solved", BigInteger, nullable=False, server_default=_ZERO),
    Column("failed", BigInteger, nullable=False, server_default=_ZERO),
)
