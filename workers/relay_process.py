"""The relay's process: the relay in its main thread; the outbox, the hooks and what is for metrics in background tasks.
Must not know what any of them carries."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Final

from tasks.crashpoints import arm_process
from tasks.errors import PartFailed
from tasks.settings import Settings
from tasks.store.metric_totals import MetricTotals
from tasks.store.pooler import refuse_pooler_at
from tasks.store.process_reports import ProcessReporter
from tasks.taskrecords import TaskRecords
from workers.addresses import memory_bank
from workers.background import BackgroundTasks
from workers.celery_app import make_app
from workers.failures import clear_failure, write_failure
from workers.home import Home
from workers.hooks.configured import events_of, hooks_of, page_of
from workers.hooks.worker import HookRegistration, hook_task
from workers.outbox_worker import OutboxWorker, memory_handlers
from workers.relay import Relay

PART: Final = "relay"
# A receiver may take longer to answer than the relay may take to end; what is cut is sent again by the next.
HOOK_STOP_SECONDS = 1.0


def run_relay(settings: Settings, *, url: str, broker: str) -> None:
    """Until TERM or INT. Raises `InvalidInput` where the settings name a hook that can't be or a pooler answers for the
    database, and `PartFailed` where a background task died; the reason stays for `redraft status` until a relay is at
    work again."""
    refuse_pooler_at(url, "the relay")  # before its tasks take what few connections a pooler has
    arm_process(settings.crash_at)
    home, stop, deaths = Home(root=settings.home), threading.Event(), list[str]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def on_death(why: str) -> None:
        deaths.append(why)
        stop.set()

    bank, records = memory_bank(settings), TaskRecords()
    outbox = OutboxWorker(url, memory_handlers(bank) if bank else {}, records.of("outbox"))
    totals = MetricTotals(url, records.of("metric totals"))
    process = f"relay {socket.gethostname()}-{os.getpid()}"
    reporter = ProcessReporter(url, process=process, part=PART, records=records)
    relay = Relay(
        url,
        make_app(broker),
        broker,
        crash_cap=settings.crash_cap,
        stall_seconds=settings.stall_seconds,
        lease_seconds=settings.lease_seconds,
        on_ready=lambda: clear_failure(home, PART),
        record=records.of(PART),
    )
    hooks, page = hooks_of(settings), page_of(settings)
    names = [hook.name for hook in hooks]
    registration = HookRegistration(
        url, names, events_of(settings), seconds=settings.engine_down_seconds, record=records.of("hooks")
    )
    with BackgroundTasks(on_death) as tasks:
        tasks.start("outbox", outbox.run)
        tasks.start("metric totals", totals.run)
        tasks.start("report", reporter.run)
        tasks.start("hooks", registration.run)
        for hook in hooks:
            name = f"hook {hook.name}"
            run = hook_task(url, hook, page, tries=settings.hook_tries, record=records.of(name))
            tasks.start(name, run, stop_seconds=HOOK_STOP_SECONDS)
        relay.run(stop)
    if deaths:
        write_failure(home, PART, deaths[0])
        raise PartFailed(deaths[0])
