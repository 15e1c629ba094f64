"""A claim and a submission with a long queue and a long past, and a growing crowd of workers that claim at once."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil
from dispatch.bench_postgres import BenchPostgres, at, spread
from dispatch.volume import Volume, fill
from sqlalchemy import text

from tasks.store import dispatch, leases
from tasks.store.roles import ensure_login
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, Claim, JobSpec, Lane

RULES = dispatch.ClaimRules()
# The first statements of a connection are planned anew each time.
WARM = 50
CONNECTIONS = 32
CROWDS = (1, 10, 100, 1000)
# Each crowd claims for about this long.
CROWD_SECONDS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A database with a volume in it."""

    volume: Volume
    url: str


def prepare(bench: BenchPostgres, name: str, volume: Volume) -> Filled:
    """A new database that holds `volume`."""
    url = bench.database(name)
    fill(url, volume)
    return Filled(volume=volume, url=url)


def claim_row(filled: Filled, count: int) -> tuple[str, ...]:
    """One worker after another claims; beside it, what an update of one row and its commit take at that moment."""
    with Database(filled.url) as database:
        claims, plain = [], []
        for number in range(WARM + count):
            begun = time.perf_counter()
            claim = dispatch.claim(database, [Lane.GPU], f"worker{number % filled.volume.workers}", "turn", RULES)
            claims.append(time.perf_counter() - begun)
            if claim is None:
                raise SystemExit("the queue ran empty")
            begun = time.perf_counter()
            with database.begin() as connection:
                connection.execute(text("UPDATE leases SET phase = 'x' WHERE job_id = :job"), {"job": claim.job})
            plain.append(time.perf_counter() - begun)
        scale = f"{filled.volume.queued:,}", f"{filled.volume.owners}", f"{filled.volume.past_iterations:,}"
        return (*scale, *spread(claims[WARM:]), *spread(plain[WARM:]))


def submit_row(bench: BenchPostgres, filled: Filled, jobs: int) -> tuple[str, ...]:
    """`jobs` in one transaction, as their owner, beside the same one by one."""
    ensure_login(filled.url, "submitter", "secret", "redraft_submitter")
    url = bench.server.url_of(filled.url.rsplit("/", 1)[1], "submitter", "secret")
    check = CheckSpec(name="answer", kind="answer", value={"exact": "1"})
    specs = [JobSpec(title=f"job {n}", problem="words " * 200, checks=(check,)) for n in range(jobs)]
    with Database(url) as database:
        begun = time.perf_counter()
        submit_jobs(database, specs)
        bulk = time.perf_counter() - begun
        some = specs[: max(1, jobs // 50)]
        begun = time.perf_counter()
        for spec in some:
            submit_jobs(database, [spec])
        single = (time.perf_counter() - begun) / len(some)
    return f"{jobs:,}", f"{bulk:.2f}", f"{jobs / bulk:,.0f}", f"{1 / single:,.0f}"


def crowd_rows(bench: BenchPostgres, filled: Filled, scale: float) -> Iterator[tuple[str, ...]]:
    """For each crowd: claims a second, how long one claim takes, who used the CPU, and what Postgres waited for."""
    for workers in CROWDS:
        yield _crowd(bench, filled, workers, CROWD_SECONDS * scale)


def _crowd(bench: BenchPostgres, filled: Filled, workers: int, seconds: float) -> tuple[str, ...]:
    connections = min(workers, CONNECTIONS)
    seen: list[tuple[float, float]] = []
    until, stop, waits = time.monotonic() + seconds, threading.Event(), Counter[str]()
    with Database(filled.url, pool=connections) as database, Database(filled.url, pool=1) as watcher:
        gate = threading.BoundedSemaphore(connections)

        def live(name: str) -> None:
            """Claims, hands the job back, and claims again: no worker ever thinks."""
            while time.monotonic() < until:
                begun = time.perf_counter()
                with gate:
                    got = time.perf_counter()
                    claim = dispatch.claim(database, [Lane.GPU], name, "turn", RULES)
                    seen.append((time.perf_counter() - begun, time.perf_counter() - got))
                    if claim is not None:
                        _hand_back(database, claim)

        def watch() -> None:
            query = text("""SELECT coalesce(wait_event_type || ' ' || wait_event, 'CPU') AS waits FROM pg_stat_activity
                            WHERE state = 'active' AND pid <> pg_backend_pid() AND datname = current_database()""")
            while not stop.wait(0.05):
                with watcher.connect() as connection:
                    waits.update(connection.execute(query).scalars())

        watching = threading.Thread(target=watch)
        watching.start()
        ours, theirs, begun = _cpu_here(), _cpu_of(bench), time.monotonic()
        try:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(live, [f"crowd{number}" for number in range(workers)]))
        finally:
            stop.set()
            watching.join()
        took = time.monotonic() - begun
        ours, theirs = (_cpu_here() - ours) / took, (_cpu_of(bench) - theirs) / took
    whole, inside = [a for a, _ in seen], [b for _, b in seen]
    first = waits.most_common(1)[0] if waits else ("-", 0)
    share = f"{first[0]} {100 * first[1] // max(1, waits.total())}%"
    return (
        *(f"{workers:,}", f"{connections}", f"{len(seen) / took:,.0f}", *spread(inside)),
        *(f"{at(whole, 0.95) * 1000:,.0f}", f"{ours:.2f}", f"{theirs:.2f}", share),
    )


def _hand_back(database: Database, claim: Claim) -> None:
    with database.begin() as connection:
        leases.fence(connection, claim)
        leases.release(connection, claim, Lane.GPU)


def _cpu_here() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system


def _cpu_of(bench: BenchPostgres) -> float:
    """Of Postgres and its sessions, those that ended included."""
    if bench.server.pid is None:
        return 0.0
    parent = psutil.Process(bench.server.pid)
    own = parent.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for process in parent.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it is the parent's by now
            times = process.cpu_times()
            total += times.user + times.system
    return total
