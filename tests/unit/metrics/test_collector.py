"""What a scrape is made of, without a database."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from tasks.errors import DatabaseUnavailable
from tasks.store.metrics import Sample
from workers.metrics.collector import CACHE_SECONDS, MetricsCollector
from workers.metrics.families import FAMILIES

JOBS = Sample(name="redraft_jobs", labels={"state": "running"}, value=3)
TOKENS = Sample(name="redraft_tokens_total", labels={"model": "m", "kind": "prompt"}, value=12.0)


class Numbers:
    """Answers what it was told, and counts how often it was asked."""

    def __init__(self) -> None:
        self.samples: tuple[Sample, ...] | None = (JOBS, TOKENS)
        self.reads = 0
        self.now = 1000.0

    def read(self) -> tuple[Sample, ...]:
        self.reads += 1
        if self.samples is None:
            raise DatabaseUnavailable("no answer")
        return self.samples


def scraped(numbers: Numbers, home: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    places = {"home": home, "database": home / "nowhere"}
    registry.register(MetricsCollector(numbers.read, home=home, places=places, clock=lambda: numbers.now))
    return registry


def test_numbers_of_the_database_come_under_their_names_with_what_they_mean(tmp_path: Path) -> None:
    text = generate_latest(scraped(Numbers(), tmp_path)).decode()
    assert "# HELP redraft_jobs Jobs by state.\n# TYPE redraft_jobs gauge\n" in text
    assert 'redraft_jobs{state="running"} 3.0\n' in text
    assert "# TYPE redraft_tokens_total counter\n" in text
    assert 'redraft_tokens_total{kind="prompt",model="m"} 12.0\n' in text
    assert "redraft_database_up 1.0\n" in text


def test_a_database_that_does_not_answer_is_a_number_too_and_no_old_ones_are_told(tmp_path: Path) -> None:
    numbers = Numbers()
    registry = scraped(numbers, tmp_path)
    assert registry.get_sample_value("redraft_jobs", {"state": "running"}) == 3
    numbers.samples, numbers.now = None, numbers.now + CACHE_SECONDS
    assert registry.get_sample_value("redraft_database_up") == 0
    assert registry.get_sample_value("redraft_jobs", {"state": "running"}) is None
    assert registry.get_sample_value("redraft_disk_size_bytes", {"place": "home"})
    numbers.samples, numbers.now = (JOBS,), numbers.now + CACHE_SECONDS
    assert registry.get_sample_value("redraft_database_up") == 1


def test_a_database_that_hangs_counts_as_one_that_does_not_answer(tmp_path: Path) -> None:
    numbers, begun, goes_on = Numbers(), threading.Event(), threading.Event()

    def hang() -> tuple[Sample, ...]:
        begun.set()
        assert goes_on.wait(20)
        return numbers.read()

    registry = CollectorRegistry()
    registry.register(MetricsCollector(hang, home=tmp_path, places={}, hang_seconds=0.05))
    first = threading.Thread(target=generate_latest, args=(registry,))
    first.start()
    assert begun.wait(10)
    assert registry.get_sample_value("redraft_database_up") == 0
    goes_on.set()
    first.join()
    assert registry.get_sample_value("redraft_database_up") == 1


def test_scrapes_within_some_seconds_share_one_read(tmp_path: Path) -> None:
    numbers = Numbers()
    registry = scraped(numbers, tmp_path)
    for _ in range(3):
        generate_latest(registry)
        numbers.now += CACHE_SECONDS / 4
    assert numbers.reads == 1
    numbers.now += CACHE_SECONDS
    generate_latest(registry)
    assert numbers.reads == 2


def test_what_a_newer_schema_adds_is_left_out(tmp_path: Path) -> None:
    numbers = Numbers()
    numbers.samples = (JOBS, Sample(name="redraft_tomorrow", labels={"job": "17"}, value=1))
    assert "tomorrow" not in generate_latest(scraped(numbers, tmp_path)).decode()


def test_the_parts_of_a_local_stack_are_as_its_supervisor_found_them(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    said = [
        {"name": name, "pid": 1, "port": None, "address": None, "health": health}
        for name, health in (("relay", "ok"), ("engine", "starting"))
    ]
    (tmp_path / "run" / "parts.json").write_text(json.dumps(said))
    registry = scraped(Numbers(), tmp_path)
    assert registry.get_sample_value("redraft_part_up", {"part": "relay"}) == 1
    assert registry.get_sample_value("redraft_part_up", {"part": "engine"}) == 0


def test_a_place_that_is_not_on_this_machine_is_left_out(tmp_path: Path) -> None:
    registry = scraped(Numbers(), tmp_path)
    assert registry.get_sample_value("redraft_disk_free_bytes", {"place": "home"})
    assert registry.get_sample_value("redraft_disk_free_bytes", {"place": "database"}) is None


def test_no_label_could_hold_a_job_an_owner_or_a_text() -> None:
    labels = {label for family in FAMILIES for label in family.labels}
    assert labels == {
        *("state", "kind", "operator", "lane", "model", "held_out", "passed", "part", "task", "scope", "unit"),
        *("topic", "place", "hook"),  # the operator names hooks
    }
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert family.name.endswith("_total") is (family.kind == "counter"), family.name
