"""One worker process: the engine first, then Celery's worker in threads over it, and its background tasks. It consumes
a lane only while it can serve it: an ill engine closes the engine's lanes, and the turns under way go on. Must not know
how a turn is taken."""

from __future__ import annotations

import functools
import os
import sys
import threading
from typing import Any, Final

import structlog
from celery import Celery
from celery.apps.worker import install_worker_term_handler
from celery.signals import worker_ready, worker_shutting_down

from tasks.crashpoints import arm_process
from tasks.errors import EngineFault, RedraftError
from tasks.loop import ENGINE_LANES
from tasks.settings import Settings
from tasks.store.live_text import LiveTextWriter
from tasks.store.pooler import refuse_pooler_at
from tasks.store.presence import STARTING, announcing
from tasks.store.process_reports import EngineNumbers, ProcessReporter
from tasks.taskrecords import TaskRecords
from tasks.types import Lane
from tasks.validators.sandbox import default_runtime_folder
from tasks.validators.warm import WarmSandbox
from workers.background import BackgroundTasks
from workers.engine.host import ModelHost
from workers.engine.outage import Outages
from workers.failures import clear_failure, write_failure, write_warning
from workers.home import Home
from workers.lane_gate import LaneGate
from workers.turn_task import register_turn
from workers.watchdog import Watchdog
from workers.wiring import WorkerParts, build_turn_runner, celery_name, starting_worker, worker_name

log = structlog.get_logger()

PART: Final = "worker"
ENGINE = "engine"
# What a turn that was cut needs to write that it hands its lease back.
HAND_BACK_SECONDS = 5.0


def run_worker(settings: Settings, *, app: Celery, url: str, host: ModelHost, lanes: frozenset[Lane]) -> None:
    """Until TERM, QUIT or INT: then every turn is handed back at its next checkpoint and the engine is stopped.

    Raises `EngineFault` where the engine does not come up, and `InvalidInput` where a pooler answers for the database.
    """
    refuse_pooler_at(url, "a worker")
    arm_process(settings.crash_at)
    if lanes & ENGINE_LANES:
        _start_engine(settings, url, host, lanes)
    WorkerProcess(settings, app=app, url=url, host=host, lanes=lanes).run()


def _start_engine(settings: Settings, url: str, host: ModelHost, lanes: frozenset[Lane]) -> None:
    """Starts the engine. Meanwhile, and where it does not come up, the worker's row says why its lanes are closed."""
    home, outages = Home(root=settings.home), Outages()
    outages.fails(STARTING)
    with announcing(url, lambda: starting_worker(lanes, outages)):
        try:
            host.start()
            if not host.ready:
                raise EngineFault("the engine started but did not answer its canary prompt")
        except RedraftError as error:
            outages.fails(str(error))
            write_failure(home, ENGINE, outages.now.why if outages.now else "")
            raise
        outages.ends()
    clear_failure(home, ENGINE)
    write_warning(home, ENGINE, host.capabilities.warning)


class WorkerProcess:
    """The parts of a worker around a `host` that has started, where the `lanes` need one."""

    def __init__(self, settings: Settings, *, app: Celery, url: str, host: ModelHost, lanes: frozenset[Lane]) -> None:
        self._settings, self._host, self._lanes, self._name = settings, host, lanes, worker_name()
        self._slots = settings.slots or host.profile.slots or host.sequences
        records = self._records = TaskRecords()
        self._gate = LaneGate(lanes, host, lambda: self._worker.consumer, records.of("lane gate"))
        self._sandbox = WarmSandbox(default_runtime_folder(settings.cache))
        parts = WorkerParts(
            settings=settings,
            app=app,
            url=url,
            name=self._name,
            host=host,
            sandbox=self._sandbox,
            lanes=self._gate.open_lanes,
            all_lanes=lanes,
            slots=self._slots,
            records=records,
        )
        self._runner, self._renewer, self._events = build_turn_runner(parts)
        self._live_text = LiveTextWriter(url, self._renewer.heartbeats, records.of("live text"))
        self._reporter = ProcessReporter(
            url, process=self._name, part=PART, records=records, engine=functools.partial(engine_numbers, host)
        )
        register_turn(app, self._runner)
        self._watchdog = Watchdog(
            self._runner,
            lanes=self._gate.open_lanes,
            broker=str(app.conf.broker_url),
            wakeup_silence_seconds=settings.wakeup_silence_seconds,
            deaf_seconds=settings.deaf_seconds,
            leave=self.leave,
            record=records.of("watchdog"),
        )
        self._worker = self._celery_worker(app)
        self._tasks = BackgroundTasks(on_death=self.leave)
        self._leaving = threading.Lock()  # a worker that becomes ready does not forget why it leaves already

    def run(self) -> None:
        """Takes work until the process is told to end, then leaves nothing running."""
        worker_shutting_down.connect(self._drain, weak=False)
        worker_ready.connect(self._on_ready, weak=False)
        self._start_tasks()
        try:
            self._worker.start()
        finally:
            self._tasks.stop()
            self._sandbox.close()
            self._runner.close()
            self._host.stop()

    def leave(self, why: str) -> None:
        """Ends the process though its main thread may hang; the engine lives on for the next worker to adopt.

        The reason stays for `redraft status` until a worker is ready again. Does not return.
        """
        log.error("the worker drains and ends, to be started again", why=why)
        self._gate.close()
        self._drain()
        with self._leaving:
            write_failure(Home(root=self._settings.home), PART, why)
        self._renewer.deregister()  # its own thread may be the one that died
        self._renewer.wait_until_idle(self._hand_back_seconds)
        sys.stdout.flush()
        os._exit(1)

    @property
    def _hand_back_seconds(self) -> float:
        return self._settings.drain_seconds + HAND_BACK_SECONDS

    def _start_tasks(self) -> None:
        """In this order, and ended in the other: leases are renewed, and events sent, as long as there are turns."""
        self._tasks.start("lease renewer", self._renewer.run)
        self._tasks.start("events", self._events.run)
        self._tasks.start("live text", self._live_text.run)
        self._tasks.start("report", self._reporter.run)
        if self._lanes & ENGINE_LANES:
            watch = functools.partial(self._host.watch, record=self._records.of("engine watch"))
            self._tasks.start("engine watch", watch)
        self._tasks.start("lane gate", self._gate.run)
        self._tasks.start("watchdog", self._watchdog.run, stop_seconds=self._hand_back_seconds)

    def _drain(self, **_: object) -> None:
        self._runner.drain(self._settings.drain_seconds)

    def _on_ready(self, **_: object) -> None:
        # Celery's own QUIT waits for the turns first and says that they should end afterwards.
        install_worker_term_handler(self._worker, sig="SIGQUIT")
        with self._leaving:
            if not self._runner.draining:
                clear_failure(Home(root=self._settings.home), PART)
        lanes, slots, model = sorted(self._lanes), self._slots, self._host.model
        log.info("the worker takes work", worker=self._name, lanes=lanes, slots=slots, model=model)

    def _celery_worker(self, app: Celery) -> Any:
        return app.Worker(
            hostname=celery_name(self._name),
            pool="threads",
            concurrency=self._slots,
            queues=[str(lane) for lane in self._lanes],
            loglevel=self._settings.log_level.upper(),
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        )


def engine_numbers(host: ModelHost) -> EngineNumbers | None:
    """How busy the host's engine is, whichever it is; None where it has no model. It may take seconds: a busy engine
    answers late."""
    if not host.model:
        return None
    load, slots = host.load(), host.sequences or None
    if load is None:
        return EngineNumbers(model=host.model, slots=slots, restarts=host.restarts)
    return EngineNumbers(
        model=host.model,
        running=load.running,
        waiting=load.waiting,
        kv_usage=load.kv_usage if load.kv_blocks else None,  # llama.cpp does not say
        slots=slots,
        restarts=host.restarts,
    )
