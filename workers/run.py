"""One worker process: the engine first, then Celery's worker in threads over it. It consumes a lane only
while it can serve it: an ill engine stops the engine's lanes, and what is held goes on."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

import structlog
from celery import Celery
from celery.apps.worker import install_worker_term_handler
from celery.signals import worker_ready, worker_shutting_down

from tasks.crashpoints import arm_process
from tasks.errors import EngineFault
from tasks.loop import ENGINE_LANES
from tasks.settings import Settings
from tasks.types import Lane
from tasks.validators.sandbox import default_runtime_folder
from tasks.validators.warm import WarmSandbox
from workers.engine.host import ModelHost
from workers.turn_task import register_turn
from workers.watchdog import Watchdog
from workers.wiring import WorkerParts, build_turn_runner, worker_name

log = structlog.get_logger()

GATE_SECONDS = 1.0
# What a turn that was cut needs to write that it hands its lease back.
HAND_BACK_SECONDS = 5.0


class Gate:
    """Holds Celery's consumer to the lanes that can be served now. Level-triggered: it looks every second."""

    def __init__(self, lanes: frozenset[Lane], host: ModelHost) -> None:
        self._lanes, self._host = lanes, host
        self._stopping = threading.Event()

    def open_lanes(self) -> frozenset[Lane]:
        """The lanes of this worker that it can serve now."""
        return self._lanes if self._host.ready else self._lanes - ENGINE_LANES

    def watch(self, consumer: Callable[[], object]) -> None:
        """Runs until `stop` in a thread; `consumer` gives Celery's consumer of the moment."""
        while not self._stopping.wait(GATE_SECONDS):
            now = consumer()
            task_consumer = getattr(now, "task_consumer", None)
            if task_consumer is None:
                continue
            wanted = self.open_lanes()
            for lane in self._lanes:
                if lane in wanted and not task_consumer.consuming_from(str(lane)):
                    now.call_soon(now.add_task_queue, str(lane))  # type: ignore[attr-defined]
                elif lane not in wanted and task_consumer.consuming_from(str(lane)):
                    log.warning("the engine is not ready; its lane is closed", lane=str(lane))
                    now.call_soon(now.cancel_task_queue, str(lane))  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Ends `watch`."""
        self._stopping.set()


def run_worker(settings: Settings, *, app: Celery, url: str, host: ModelHost, lanes: frozenset[Lane]) -> None:
    """Until TERM, QUIT or INT: then every turn is handed back at its next checkpoint and the engine is stopped.

    Raises `EngineFault` where the engine does not come up.
    """
    name = worker_name()
    arm_process(settings.crash_at)
    if lanes & ENGINE_LANES:
        host.start()
        if not host.ready:
            raise EngineFault("the engine started but did not answer its canary prompt")
    gate = Gate(lanes, host)
    slots = settings.slots or host.profile.slots or host.sequences
    sandbox = WarmSandbox(default_runtime_folder(settings.cache))
    parts = WorkerParts(
        settings=settings,
        app=app,
        url=url,
        name=name,
        host=host,
        sandbox=sandbox,
        lanes=gate.open_lanes,
        slots=slots,
    )
    runner, renewer, events = build_turn_runner(parts)
    register_turn(app, runner)
    worker = app.Worker(
        hostname=f"{name}@redraft",
        pool="threads",
        concurrency=slots,
        queues=[str(lane) for lane in lanes],
        loglevel=settings.log_level.upper(),
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )

    def drain(**_: object) -> None:
        runner.drain(settings.drain_seconds)

    def ready(**_: object) -> None:
        # Celery's own QUIT waits for the turns first and says that they should end afterwards.
        install_worker_term_handler(worker, sig="SIGQUIT")
        log.info("the worker takes work", worker=name, lanes=sorted(lanes), slots=slots, model=host.model)

    def leave(why: str) -> None:
        """Ends the process though its main thread may hang; the engine lives on for the next worker to adopt."""
        log.error("the worker ends, to be started again", why=why)
        runner.drain(settings.drain_seconds)
        deadline = time.monotonic() + settings.drain_seconds + HAND_BACK_SECONDS
        while renewer.holds and time.monotonic() < deadline:
            time.sleep(GATE_SECONDS / 10)
        renewer.stop()
        sys.stdout.flush()
        os._exit(1)

    watchdog = Watchdog(
        runner,
        lanes=gate.open_lanes,
        broker=str(app.conf.broker_url),
        wakeup_silence_seconds=settings.wakeup_silence_seconds,
        deaf_seconds=settings.deaf_seconds,
        leave=leave,
    )
    worker_shutting_down.connect(drain, weak=False)
    worker_ready.connect(ready, weak=False)
    watcher = threading.Thread(target=gate.watch, args=(lambda: worker.consumer,), name="gate", daemon=True)
    renewer.start()
    events.start()
    watcher.start()
    watchdog.start()
    try:
        worker.start()
    finally:
        gate.stop()
        watchdog.stop()
        events.stop()
        renewer.stop()
        sandbox.close()
        runner.close()
        host.stop()
