"""Every metric: its name, what it means, its labels. A label has few values, which the code or the operator sets: none
is a job, a title, an owner or a text. Knows neither where numbers come from nor how they are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric. A counter's name ends in `_total`; seconds, bytes and ratios (0 to 1) are in the name."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


def _counter(name: str, meaning: str, *labels: str) -> Family:
    return Family(name=name, kind="counter", help=meaning, labels=labels)


def _gauge(name: str, meaning: str, *labels: str) -> Family:
    return Family(name=name, kind="gauge", help=meaning, labels=labels)


# As `redraft_metrics()` gives them.
FROM_THE_DATABASE = (
    _gauge("redraft_jobs", "Jobs by state.", "state"),
    _gauge("redraft_jobs_near_budget", "Open jobs that have used nine tenths of a budget."),
    _counter("redraft_job_events_total", "Events of jobs: submitted, accepted, unsolved, lease expired …", "kind"),
    _counter("redraft_iterations_total", "Iterations recorded, by what their move was.", "operator"),
    _gauge(
        "redraft_lane_jobs", "Open jobs of a lane: held by a worker, waiting, or waiting for a moment.", "lane", "state"
    ),
    _gauge("redraft_lane_workers", "Live workers that serve a lane now.", "lane"),
    _gauge("redraft_lane_free_slots", "Free slots of those workers.", "lane"),
    _gauge("redraft_queue_age_seconds", "How long the job that waits longest has waited; 0 without one.", "lane"),
    _gauge("redraft_workers", "Live workers."),
    _gauge("redraft_slots", "Turns that they can take at once."),
    _gauge("redraft_leases", "Jobs that a worker holds."),
    _gauge("redraft_progress_age_seconds", "Since any held job gave a token or a verdict; 0 where none is held."),
    _counter("redraft_calls_total", "Model calls committed, local and cloud.", "model", "operator"),
    _counter("redraft_call_seconds_total", "Seconds of those calls; two at once count twice.", "model"),
    _counter("redraft_tokens_total", "Tokens of those calls: prompt, of it cached, completion.", "model", "kind"),
    _counter("redraft_spend_usd_total", "Dollars charged for calls.", "model"),
    _counter("redraft_guard_hits_total", "Answers that the guard cut, or let run on, by the repetition.", "kind"),
    _counter("redraft_verdicts_total", "Verdicts of checks.", "kind", "held_out", "passed"),
    _counter("redraft_check_seconds_total", "Seconds of those checks.", "kind"),
    _gauge("redraft_engine_up", "1 where a model's engines answer; `none`: one that has not started.", "model"),
    _gauge("redraft_engine_outage_seconds", "How long the longest outage of a model's engines has lasted.", "model"),
    _counter("redraft_engine_restarts_total", "Engines that a worker started again.", "model"),
    _gauge("redraft_engine_slots", "Requests that the engines batch at once, where they say so.", "model"),
    _gauge("redraft_engine_requests_running", "Requests that the engines compute, by their own count.", "model"),
    _gauge("redraft_engine_requests_waiting", "Requests that wait in the engines.", "model"),
    _gauge("redraft_engine_kv_usage_ratio", "KV space in use; llama.cpp does not say.", "model"),
    _gauge("redraft_engine_calls", "Calls of ours in flight.", "model"),
    _gauge("redraft_engine_tokens_per_second", "Completion tokens per second of the calls in flight.", "model"),
    _gauge("redraft_background_task_age_seconds", "Since a background task last did what it is for.", "part", "task"),
    _counter("redraft_background_task_failures_total", "Tries of a background task that failed.", "part", "task"),
    _gauge(
        "redraft_budget_used_ratio",
        "Share used of the limits of today and of unfinished batches, the fullest of each.",
        "scope",
        "unit",
    ),
    _gauge("redraft_escalations_open", "Requests to the cloud that have not ended.", "state"),
    _gauge("redraft_escalations_unsettled", "Requests to the cloud whose cost nobody knows yet."),
    _gauge("redraft_cloud_circuits_open", "Cloud providers that get no request now."),
    _gauge("redraft_outbox_pending", "Side effects that were not delivered yet.", "topic"),
    _gauge("redraft_outbox_age_seconds", "Age of the oldest of them.", "topic"),
    _gauge("redraft_outbox_attempts", "The most tries of one of them.", "topic"),
    _counter("redraft_hook_given_up_total", "Events of which a hook was not told, and is not told by itself.", "hook"),
    _gauge("redraft_database_bytes", "Size of the database."),
)
DATABASE_UP = _gauge(
    "redraft_database_up", "1 where the database answers. Where it does not, only what is below is here."
)
READ_SECONDS = _gauge("redraft_read_seconds", "How long the last read of the database took.")
PART_UP = _gauge("redraft_part_up", "1 where a part of the local stack is well.", "part")
DISK_FREE = _gauge("redraft_disk_free_bytes", "Free bytes where Redraft writes.", "place")
DISK_SIZE = _gauge("redraft_disk_size_bytes", "Bytes of that file system.", "place")
FAMILIES = (*FROM_THE_DATABASE, DATABASE_UP, READ_SECONDS, PART_UP, DISK_FREE, DISK_SIZE)
