"""Cancel, pause, TERM and QUIT: the engine stops for whom nobody waits, what it has finished is kept, and the lease
goes back at once. A real worker, its engine an endpoint that notices who hangs up."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from tasks.settings import Settings
from tasks.store import lifecycle
from tasks.store.fleet import live_workers
from tasks.store.lifecycle import request_cancel
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, CheckSpec, JobSpec, JobState, Lane
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.background import running
from tests.standin.paced import Engine, endless, streaming
from workers.celery_app import make_app
from workers.engine.attached import AttachedEndpoint
from workers.wiring import WorkerParts, build_turn_runner

pytestmark = pytest.mark.integration
LANES = frozenset({Lane.GPU, Lane.CHECK})
# Nothing but what is under test may end a turn while a test waits for it: no renewal, no lease that runs out.
LEASE_SECONDS = 600.0
WAIT_SECONDS = 30.0
# A program whose name no other process of the machine has.
NAP = "86399.25"
SLEEPS = CheckSpec(name="command", kind="command", value=["sleep", NAP], timeout_seconds=600)
GREETS = CheckSpec(name="judge", kind="judge", value="It greets the reader.")
ANSWER = CheckSpec(name="answer", kind="answer", value={"exact": "42"})


def put(user: Database, check: CheckSpec) -> int:
    made = JobSpec(title="t", problem="Say it.", checks=(check,), budget=Budget(iterations=3), memory=False)
    return submit_jobs(user, [made])[0].job


def eventually(condition: Callable[[], object], alive: Callable[[], bool] = lambda: True) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert alive(), "the worker died"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def naps() -> list[int]:
    return [process.pid for process in psutil.process_iter(["cmdline"]) if NAP in (process.info["cmdline"] or [])]


@contextlib.contextmanager
def turn(engine: Engine, fleet_url: str) -> Iterator[threading.Thread]:
    """One turn of a whole worker but for Celery's consumer, in a thread of this process."""
    settings = Settings(lease_seconds=LEASE_SECONDS, width=2)
    host = AttachedEndpoint(engine.url)
    host.start()
    parts = WorkerParts(
        settings=settings,
        app=make_app("redis://127.0.0.1:1/0"),
        url=fleet_url,
        name="here",
        host=host,
        sandbox=BubblewrapSandbox(default_runtime_folder(settings.cache)),
        lanes=lambda: LANES,
        all_lanes=LANES,
        slots=2,
    )
    runner, renewer, _ = build_turn_runner(parts)
    taking = threading.Thread(target=runner.take_turn, args=("gpu", "turn"))
    with running(renewer.run):
        taking.start()
        try:
            yield taking
        finally:
            runner.drain(0)
            taking.join(WAIT_SECONDS)
    runner.close()
    host.stop()
    assert not taking.is_alive()


def test_a_cancelled_draft_is_aborted_at_the_engine(user: Database, fleet_url: str) -> None:
    with streaming(lambda prompt: None) as engine:
        job = put(user, ANSWER)
        with turn(engine, fleet_url) as taking:
            eventually(lambda: engine.under_way == 2)
            assert request_cancel(user, job) is JobState.RUNNING
            eventually(lambda: engine.under_way == 0)
            taking.join(WAIT_SECONDS)
            assert job_summary(user, job).state is JobState.CANCELLED
    assert (engine.whole, engine.aborted) == (0, 2)


def test_a_cancel_is_heard_while_a_judge_speaks(user: Database, fleet_url: str) -> None:
    with streaming(lambda prompt: None if "Good day" in prompt else "Good day to you.\n") as engine:
        job = put(user, GREETS)
        with turn(engine, fleet_url) as taking:
            eventually(lambda: engine.whole == 2 and engine.under_way)
            request_cancel(user, job)
            eventually(lambda: engine.under_way == 0)
            taking.join(WAIT_SECONDS)
            found = job_summary(user, job)
    assert found.state is JobState.CANCELLED
    assert engine.aborted
    assert found.spend.local_tokens > 0, "what was finished is paid for and kept"


def test_a_cancel_is_heard_while_a_check_runs(user: Database, fleet_url: str) -> None:
    with streaming(lambda prompt: "Good day.\n") as engine:
        job = put(user, SLEEPS)
        with turn(engine, fleet_url) as taking:
            eventually(naps)
            request_cancel(user, job)
            eventually(lambda: not naps())
            taking.join(WAIT_SECONDS)
            assert job_summary(user, job).state is JobState.CANCELLED


def test_a_cancel_between_the_claim_and_the_first_look_is_heard(
    user: Database, fleet: Database, fleet_url: str
) -> None:
    """The notice comes before the renewer knows the job: `cancel_requested_at` is all there is of it."""
    with streaming(lambda prompt: None) as engine:
        job = put(user, ANSWER)
        with fleet.begin() as connection:
            connection.execute(text("UPDATE jobs SET cancel_requested_at = now()"))
        with turn(engine, fleet_url) as taking:
            taking.join(WAIT_SECONDS)
            assert job_summary(user, job).state is JobState.CANCELLED


def test_a_paused_draft_is_aborted_at_the_engine(user: Database, fleet_url: str) -> None:
    with streaming(lambda prompt: None) as engine:
        job = put(user, ANSWER)
        with turn(engine, fleet_url) as taking:
            eventually(lambda: engine.under_way == 2)
            lifecycle.request_pause(user, job)
            eventually(lambda: engine.under_way == 0)
            taking.join(WAIT_SECONDS)
            assert job_summary(user, job).state is JobState.PAUSED


@pytest.fixture
def environment(fleet_url: str, valkey_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "REDRAFT_HOME": str(tmp_path / "home"),
        "REDRAFT_DATABASE_URL": fleet_url,
        "REDRAFT_BROKER_URL": valkey_url,
        "REDRAFT_LEASE_SECONDS": str(LEASE_SECONDS),
        "REDRAFT_WIDTH": "2",
        # A worker that hears its wake-ups is never taken for deaf, however soon the watchdog would say so.
        "REDRAFT_WAKEUP_SILENCE_SECONDS": "1",
        "REDRAFT_DEAF_SECONDS": "2",
    }


@contextlib.contextmanager
def process(argv: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", *argv],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)


def worker(engine: Engine, environment: dict[str, str], grace: float) -> contextlib.AbstractContextManager[object]:
    given = {**environment, "REDRAFT_ENDPOINT": engine.url, "REDRAFT_DRAIN_SECONDS": str(grace)}
    return process(["worker", "--lane", "gpu,check"], given)


def lease(fleet: Database, job: int) -> tuple[str | None, bool]:
    """Who holds it, and whether its event says that it was handed back before it could have run out."""
    query = text("""SELECT l.worker, EXISTS (SELECT 1 FROM events e WHERE e.job_id = l.job_id
                        AND e.kind = 'handed back' AND e.at < j.started_at + make_interval(secs => :lease)) AS back
                    FROM leases l JOIN jobs j ON j.id = l.job_id WHERE l.job_id = :job""")
    with fleet.connect() as connection:
        row = connection.execute(query, {"job": job, "lease": LEASE_SECONDS}).one()
    return row.worker, row.back


def test_term_keeps_what_the_engine_finishes_and_another_worker_goes_on_at_once(
    user: Database, fleet: Database, environment: dict[str, str]
) -> None:
    said = "".join(itertools.islice(endless(), 60)) + "ANSWER: 42\n"
    with (
        streaming(lambda prompt: said, pause_seconds=0.05) as engine,
        process(["relay"], environment),
    ):
        with worker(engine, environment, grace=60) as first:
            eventually(lambda: live_workers(user), lambda: first.poll() is None)
            job = put(user, ANSWER)
            eventually(lambda: engine.under_way == 2)
            first.send_signal(signal.SIGTERM)
            assert first.wait(WAIT_SECONDS) == 0
        assert (engine.whole, engine.aborted) == (2, 0)
        assert lease(fleet, job) == (None, True)
        assert live_workers(user) == ()
        assert job_summary(user, job).iterations == 0, "it stopped before the checks, not after the iteration"
        with worker(engine, environment, grace=60) as second:
            eventually(lambda: job_summary(user, job).state.final, lambda: second.poll() is None)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert engine.begun == 2, "nothing that was complete is asked for again"


def test_a_turn_that_the_watchdog_found_is_handed_back_at_term_like_any_other(
    user: Database, fleet: Database, environment: dict[str, str]
) -> None:
    """No relay runs, so nobody wakes the worker."""
    with streaming(lambda prompt: None) as engine, worker(engine, environment, grace=1) as running:
        eventually(lambda: live_workers(user), lambda: running.poll() is None)
        job = put(user, ANSWER)
        eventually(lambda: engine.under_way == 2, lambda: running.poll() is None)
        running.send_signal(signal.SIGTERM)
        assert running.wait(WAIT_SECONDS) == 0
        assert lease(fleet, job) == (None, True)


@pytest.mark.slow  # TERM is tested beside it
def test_quit_cuts_at_the_end_of_the_grace_what_does_not_finish(
    user: Database, fleet: Database, environment: dict[str, str]
) -> None:
    with (
        streaming(lambda prompt: None) as engine,
        process(["relay"], environment),
        worker(engine, environment, grace=1) as running,
    ):
        eventually(lambda: live_workers(user), lambda: running.poll() is None)
        job = put(user, ANSWER)
        eventually(lambda: engine.under_way == 2)
        running.send_signal(signal.SIGQUIT)
        assert running.wait(WAIT_SECONDS) == 0
        assert (engine.under_way, engine.aborted) == (0, 2)
        assert lease(fleet, job) == (None, True)
