"""What `redraft_metrics()` counts, who may call it, and that no counter falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tasks.errors import DatabaseUnavailable
from tasks.store import metric_totals
from tasks.store.metrics import read_metrics
from tasks.store.process_reports import EngineNumbers, ProcessReporter
from tasks.store.session import Database
from tasks.taskrecords import TaskRecords
from tests.integration.metricrows import ROWS
from workers.metrics.families import FROM_THE_DATABASE

pytestmark = pytest.mark.integration
Connection = psycopg.Connection[Any]
# What may pass on a busy machine between a row and its number.
SLOW = 300
Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def admin(admin_url: str) -> Iterator[Connection]:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


@pytest.fixture
def observer(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("observer", "redraft_metrics")) as database:
        yield database


def numbers(database: Database) -> Numbers:
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for one in read_metrics(database)}


def counters(found: Numbers) -> Numbers:
    return {key: value for key, value in found.items() if key[0].endswith("_total")}


def of(found: Numbers, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def test_every_number_is_of_a_known_metric_with_its_labels_and_every_metric_has_one(
    observer: Database, admin: Connection
) -> None:
    admin.execute(ROWS.encode())
    found = numbers(observer)
    known = {family.name: set(family.labels) for family in FROM_THE_DATABASE}
    for name, labels in found:
        assert {label for label, _ in labels} == known[name], name
    assert {name for name, _ in found} == set(known)


def test_numbers_are_those_of_the_rows(observer: Database, admin: Connection) -> None:
    admin.execute(ROWS.encode())
    found = numbers(observer)
    assert of(found, "redraft_jobs", state="running") == 1
    assert of(found, "redraft_jobs", state="accepted") == 1
    assert of(found, "redraft_jobs", state="failed") == 0
    assert of(found, "redraft_lane_jobs", lane="gpu", state="held") == 1
    assert of(found, "redraft_lane_jobs", lane="gpu", state="waiting") == 1
    assert of(found, "redraft_lane_workers", lane="gpu") == 1
    assert of(found, "redraft_lane_workers", lane="cloud") == 0
    assert of(found, "redraft_lane_free_slots", lane="gpu") == 3
    assert 7200 <= of(found, "redraft_queue_age_seconds", lane="gpu") < 7200 + SLOW
    assert 30 <= of(found, "redraft_progress_age_seconds") < 30 + SLOW
    assert of(found, "redraft_calls_total", model="m", operator="draft") == 2
    assert of(found, "redraft_tokens_total", model="m", kind="prompt") == 200
    assert of(found, "redraft_tokens_total", model="m", kind="cached") == 60
    assert of(found, "redraft_tokens_total", model="gpt", kind="prompt") == 0  # of a lost call nobody knows them
    assert of(found, "redraft_spend_usd_total", model="gpt") == pytest.approx(0.5)
    assert of(found, "redraft_guard_hits_total", kind="cycle") == 1
    assert of(found, "redraft_verdicts_total", kind="answer", held_out="true", passed="false") == 1
    assert of(found, "redraft_engine_up", model="m") == 0
    assert 60 <= of(found, "redraft_engine_outage_seconds", model="m") < 60 + SLOW
    assert of(found, "redraft_engine_slots", model="m") == 16
    assert of(found, "redraft_engine_tokens_per_second", model="m") == pytest.approx(50)
    assert of(found, "redraft_budget_used_ratio", scope="deployment", unit="usd") == pytest.approx(0.25)
    assert of(found, "redraft_budget_used_ratio", scope="owner", unit="local_tokens") == pytest.approx(0.9)
    assert of(found, "redraft_budget_used_ratio", scope="batch", unit="tokens") == pytest.approx(0.1)
    assert of(found, "redraft_jobs_near_budget") == 1
    assert of(found, "redraft_escalations_open", state="running") == 1
    assert of(found, "redraft_escalations_unsettled") == 1
    assert of(found, "redraft_cloud_circuits_open") == 1
    assert of(found, "redraft_outbox_pending", topic="memory.upsert") == 1


def test_its_login_reads_numbers_and_no_row(login: Callable[..., str], admin: Connection) -> None:
    url = login("observer", "redraft_metrics").replace("+psycopg", "", 1)
    tables = [
        name
        for (name,) in admin.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace = 'public'::regnamespace"
        )
    ]
    with psycopg.connect(url, autocommit=True) as observer:
        assert observer.execute("SELECT count(*) > 20 FROM redraft_metrics()").fetchone() == (True,)
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                observer.execute(f'SELECT * FROM "{table}"')  # type: ignore[arg-type]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            observer.execute("SELECT redraft_cancel(1)")


def test_nobody_else_may_ask_for_the_sums_of_all_owners(user: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        read_metrics(user)


def test_what_is_counted_is_counted_once_and_stays_when_its_jobs_go(
    observer: Database, fleet: Database, admin: Connection
) -> None:
    admin.execute(ROWS.encode())
    before = counters(numbers(observer))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: metric_totals.count(fleet, settled_seconds=-5), range(2)))
    metric_totals.count(fleet, settled_seconds=-5)
    assert counters(numbers(observer)) == before
    admin.execute("UPDATE escalations SET charged_usd = usd, usd = 0, settled_at = now() WHERE state = 'unknown'")
    admin.execute("UPDATE calls SET usd = 0 WHERE finish_reason = 'lost'")
    admin.execute("DELETE FROM jobs")
    assert counters(numbers(observer)) == before


def test_a_charge_that_is_settled_before_it_was_counted_does_not_fall_either(
    observer: Database, admin: Connection
) -> None:
    admin.execute(ROWS.encode())
    before = counters(numbers(observer))
    admin.execute("UPDATE escalations SET charged_usd = usd, usd = 0, settled_at = now() WHERE state = 'unknown'")
    admin.execute("UPDATE calls SET usd = 0, prompt_tokens = 0 WHERE finish_reason = 'lost'")
    assert counters(numbers(observer)) == before


def test_what_comes_after_a_count_is_added_to_it(observer: Database, fleet: Database, admin: Connection) -> None:
    admin.execute(ROWS.encode())
    admin.execute("UPDATE events SET at = at - interval '1 hour'")
    metric_totals.count(fleet, settled_seconds=600)
    before = of(numbers(observer), "redraft_job_events_total", kind="lease expired")
    admin.execute("INSERT INTO events (job_id, kind) SELECT min(id), 'lease expired' FROM jobs")
    metric_totals.count(fleet, settled_seconds=600)
    assert of(numbers(observer), "redraft_job_events_total", kind="lease expired") == before + 1


def reporter(records: TaskRecords, part: Any, process: str, engine: EngineNumbers | None = None) -> ProcessReporter:
    return ProcessReporter("unused", process=process, part=part, records=records, engine=lambda: engine)


def test_of_relays_the_best_counts_and_of_live_workers_the_worst(
    observer: Database, fleet: Database, admin: Connection
) -> None:
    admin.execute(
        """INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at) VALUES
           ('here', 'h', 1, '{gpu}', 2, '0', now() + interval '1 hour'),
           ('gone', 'h', 2, '{gpu}', 2, '0', now() - interval '1 hour')"""
    )
    now = 1000.0
    records = TaskRecords(clock=lambda: now)
    records.of("watch")
    reporter(records, "relay", "one").report(fleet)
    reporter(records, "worker", "here").report(fleet)
    now += 3000
    reporter(records, "relay", "two").report(fleet)
    reporter(records, "worker", "gone").report(fleet)
    admin.execute("UPDATE background_tasks SET succeeded_at = now() - interval '1000 s' WHERE process = 'here'")
    found = numbers(observer)
    assert of(found, "redraft_background_task_age_seconds", part="relay", task="watch") < SLOW
    assert 1000 <= of(found, "redraft_background_task_age_seconds", part="worker", task="watch") < 1000 + SLOW


def test_failures_and_restarts_of_processes_that_come_and_go_add_up(
    observer: Database, fleet: Database, admin: Connection
) -> None:
    admin.execute(
        """INSERT INTO workers (name, host, pid, lanes, slots, version, model, seen_at)
           VALUES ('w', 'h', 1, '{}', 2, '0', 'm', now() + interval '1 hour')"""
    )
    for restarts in (1, 2):
        records = TaskRecords()
        engine = EngineNumbers(model="m", running=3, waiting=1, kv_usage=0.5, slots=8, restarts=restarts)
        one = reporter(records, "worker", "w", engine)
        records.of("events").failed()
        one.report(fleet)
        records.of("events").failed()
        one.report(fleet)
        one.report(fleet)
    found = numbers(observer)
    assert of(found, "redraft_background_task_failures_total", part="worker", task="events") == 4
    assert of(found, "redraft_engine_restarts_total", model="m") == 3
    assert of(found, "redraft_engine_requests_running", model="m") == 3
    assert of(found, "redraft_engine_kv_usage_ratio", model="m") == 0.5
