"""Collects the metrics for a scrape: from the database in one statement, which scrapes within some seconds share, and
from this machine. Must not know how they are served."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.errors import DatabaseUnavailable
from tasks.store.metrics import Sample
from workers.local.record import read_parts
from workers.metrics import families
from workers.metrics.families import Family

log = structlog.get_logger()

# Two Prometheus servers, or a person with curl, cost one read.
CACHE_SECONDS = 4.0
# A read that another scrape has waited for so long hangs, and the database counts as away; Prometheus waits for 10 s.
HANG_SECONDS = 5.0


class MetricsCollector(Collector):
    """Parameters: `read` gives the database's numbers and raises `DatabaseUnavailable`; `home` is where a local stack
    says how its parts are; `places` are the folders whose file systems are looked at, by name."""

    def __init__(
        self,
        read: Callable[[], tuple[Sample, ...]],
        *,
        home: Path,
        places: Mapping[str, Path],
        clock: Callable[[], float] = time.monotonic,
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        self._read, self._home, self._places, self._clock = read, home, places, clock
        self._hang_seconds = hang_seconds
        self._reading = threading.Lock()
        self._samples: tuple[Sample, ...] | None = None  # None: the database does not answer
        self._read_at, self._began_at, self._seconds = -CACHE_SECONDS, 0.0, 0.0

    def describe(self) -> Iterable[Metric]:
        """No names, so that nothing is read when this is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The families that have a number now."""
        samples, seconds = self._recent()
        yield from _families(families.FROM_THE_DATABASE, samples or ())
        yield from _families(
            (families.DATABASE_UP, families.READ_SECONDS),
            (
                Sample(name=families.DATABASE_UP.name, labels={}, value=float(samples is not None)),
                Sample(name=families.READ_SECONDS.name, labels={}, value=seconds),
            ),
        )
        yield from _families((families.PART_UP,), self._parts())
        yield from _families((families.DISK_FREE, families.DISK_SIZE), self._disks())

    def _recent(self) -> tuple[tuple[Sample, ...] | None, float]:
        """The numbers, None where the database does not answer, and how long they took to read."""
        if not self._reading.acquire(timeout=self._hang_seconds):
            return None, self._clock() - self._began_at
        try:
            if self._clock() - self._read_at >= CACHE_SECONDS:
                self._read_anew()
            return self._samples, self._seconds
        finally:
            self._reading.release()

    def _read_anew(self) -> None:
        self._began_at = self._clock()
        try:
            self._samples = self._read()
        except DatabaseUnavailable as error:
            if self._samples is not None:
                log.warning("the metrics wait for Postgres", why=str(error).split("\n")[0])
            self._samples = None
        self._read_at = self._clock()
        self._seconds = self._read_at - self._began_at

    def _parts(self) -> Iterable[Sample]:
        for part in read_parts(self._home):
            yield Sample(name=families.PART_UP.name, labels={"part": part.name}, value=float(part.health == "ok"))

    def _disks(self) -> Iterable[Sample]:
        for place, folder in self._places.items():
            try:
                disk = shutil.disk_usage(folder)
            except OSError:  # it is not on this machine, or not made yet
                continue
            yield Sample(name=families.DISK_FREE.name, labels={"place": place}, value=disk.free)
            yield Sample(name=families.DISK_SIZE.name, labels={"place": place}, value=disk.total)


def _families(known: Iterable[Family], samples: Iterable[Sample]) -> Iterable[Metric]:
    """The samples by family. One of an unknown name is of a newer schema, and is left out."""
    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
    made = {one.name: (one, kinds[one.kind](one.name, one.help, labels=one.labels)) for one in known}
    for sample in samples:
        if sample.name in made:
            family, metric = made[sample.name]
            metric.add_metric([sample.labels.get(label, "") for label in family.labels], sample.value)
    return [metric for _, metric in made.values() if metric.samples]
