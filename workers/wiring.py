"""The composition root of a worker: settings → parts. Nothing else decides which implementation is used."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

import structlog
from celery import Celery

from tasks.escalation import Escalation, NoCloud
from tasks.journal import JournalledModel
from tasks.judge_panel import ModelJudgePanel
from tasks.lesson_service import MemoryLessonService, NoLessonService
from tasks.loop import ENGINE_LANES, Loop
from tasks.operators import Operators
from tasks.policy import LoopRules
from tasks.ports import Cloud, LessonService, Sandbox
from tasks.redaction import Redactor
from tasks.settings import Settings, secrets_in
from tasks.store.attachments import read_content
from tasks.store.breakers import BreakerRules
from tasks.store.dispatch import ClaimRules
from tasks.store.escalations import PostgresEscalations
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.ledger import PostgresLedger
from tasks.store.lesson_queries import StoredRecords
from tasks.store.presence import WorkerRegistration
from tasks.store.session import WORKER_LOCK_SECONDS, Database
from tasks.taskrecords import TaskRecords
from tasks.types import Lane
from tasks.validation import Validation
from tasks.validators.checks import RegisteredChecks
from tasks.waits import WaitRules
from workers.addresses import memory_bank
from workers.advisers import build_advisers, providers_of
from workers.engine.admission import AdmissionController
from workers.engine.host import ModelHost, NoEngine, model_names
from workers.engine.outage import Outages
from workers.engine.prefill import SharedPrefill
from workers.events import TurnEvents
from workers.judge_rates import load_rates
from workers.models import chat_model, sampling_of
from workers.plugins import broken_plugins
from workers.strategies import load_strategies
from workers.turn_runner import TurnRunner

log = structlog.get_logger()

# Commits take milliseconds: more turns than this wait for each other at the disk, not for a connection.
MOST_CONNECTIONS = 16
# A wake-up waits so long for room at the engine; the relay sends another every second.
ADMISSION_SECONDS = 1.0


def worker_name() -> str:
    """Unique to the process: a restarted worker is another holder of leases."""
    return f"{socket.gethostname()}-{os.getpid()}"


def celery_name(worker: str) -> str:
    """What Celery and Flower call the worker of that name."""
    return f"{worker}@redraft"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What one worker process is built from: `lanes` are those of `all_lanes` that it can serve now, `slots` its turns
    at once."""

    settings: Settings
    app: Celery
    url: str
    name: str
    host: ModelHost
    sandbox: Sandbox
    lanes: Callable[[], frozenset[Lane]]
    all_lanes: frozenset[Lane]
    slots: int
    records: TaskRecords = field(default_factory=TaskRecords)

    @property
    def width(self) -> int:
        """How many candidates its engine serves a job at once; 0 without an engine."""
        return self.settings.width or (0 if isinstance(self.host, NoEngine) else self.host.profile.width)


def build_cloud(settings: Settings, database: Database) -> Cloud:
    """The stronger models that are configured. Raises `InvalidInput` for one whose prices nobody knows."""
    advisers = build_advisers(settings)
    if not advisers:
        return NoCloud()
    return Escalation(
        ledger=PostgresEscalations(database, _breaker(settings)),
        advisers=advisers,
        egress=settings.egress,
        fault_cap=min(settings.cloud_fault_cap, settings.fault_cap),
        redactor=Redactor(settings.redact, settings.secrets()),
        waits=WaitRules(
            tries=settings.cloud_tries,
            seconds=settings.cloud_wait_seconds,
            local=settings.cloud_away == "local",
        ),
    )


def _breaker(settings: Settings) -> BreakerRules:
    """A probe that was not heard of has died with its worker: any other ends with its first event at the latest."""
    return BreakerRules(
        faults=settings.cloud_breaker_faults,
        seconds=settings.cloud_breaker_seconds,
        probe_seconds=settings.cloud_first_event_seconds + settings.lease_seconds,
    )


def _admission(parts: WorkerParts) -> AdmissionController:
    host, width = parts.host, max(1, parts.width)
    return AdmissionController(
        requests=host.sequences or parts.slots * width,
        width=width,
        read=host.load,
    )


def build_turn_runner(parts: WorkerParts) -> tuple[TurnRunner, LeaseRenewer, TurnEvents]:
    """The parts of one worker process, not yet started."""
    settings, database = parts.settings, _database(parts)
    renewer = LeaseRenewer(
        parts.url,
        lambda: _registration(parts),
        lease_seconds=settings.lease_seconds,
        silence_seconds=settings.silence_seconds,
        record=parts.records.of("lease renewer"),
    )
    events, admission = TurnEvents(parts.app, celery_name(parts.name), parts.records.of("events")), _admission(parts)
    runner = TurnRunner(
        database=database,
        renewer=renewer,
        worker=parts.name,
        slots=parts.slots,
        lanes=parts.lanes,
        loop=_loop(parts, database, admission),
        rules=_claim_rules(parts),
        events=events,
        can_admit=lambda lane, turn: lane not in ENGINE_LANES or admission.take_turn(turn, ADMISSION_SECONDS),
        on_turn_end=admission.on_turn_end,
    )
    return runner, renewer, events


def _database(parts: WorkerParts) -> Database:
    pool = max(4, min(parts.slots, MOST_CONNECTIONS))
    return Database(parts.url, name="redraft worker", pool=pool, lock_seconds=WORKER_LOCK_SECONDS)


def _loop(parts: WorkerParts, database: Database, admission: AdmissionController) -> Loop:
    settings, host = parts.settings, parts.host
    ledger = PostgresLedger(database, fault_cap=settings.fault_cap)
    model = JournalledModel(
        ledger=ledger,
        model=chat_model(settings, host, functools.partial(read_content, database)),
        sampling=sampling_of(host.profile),
        admission=SharedPrefill(admission, host.slots) if host.slots else admission,
    )
    cloud = build_cloud(settings, database) if Lane.CLOUD in parts.lanes() else NoCloud()
    checks, strategies = RegisteredChecks(sandbox=parts.sandbox), load_strategies()
    for plugin, why in broken_plugins(strategies).items():
        log.error("a plug-in can't be loaded; jobs that name it are left to other workers", plugin=plugin, why=why)
    judge_panel = ModelJudgePanel(model=model, rates=load_rates(settings), bound=settings.judge_bound)
    return Loop(
        ledger=ledger,
        operators=Operators(model=model, cloud=cloud),
        validation=Validation(ledger=ledger, checks=checks, judge_panel=judge_panel),
        lesson_service=_lesson_service(settings, model, database),
        strategies=strategies.working,
        rules=_loop_rules(parts),
        broken=strategies.broken,
        secrets=settings.secrets() | secrets_in(parts.url, str(parts.app.conf.broker_url or "")),
    )


def _loop_rules(parts: WorkerParts) -> LoopRules:
    settings = parts.settings
    return LoopRules(
        width=parts.width,
        move_up_after=settings.move_up_after,
        escalate_after=settings.escalate_after,
        modalities=parts.host.profile.modalities,
        models=model_names(parts.host),
        help=settings.help_rules,
        skips=providers_of(settings) if settings.cloud_away == "local" else {},
    )


def _lesson_service(settings: Settings, model: JournalledModel, database: Database) -> LessonService:
    bank = memory_bank(settings)
    if bank is None:
        return NoLessonService()
    return MemoryLessonService(bank=bank, model=model, records=StoredRecords(database))


def _claim_rules(parts: WorkerParts) -> ClaimRules:
    settings = parts.settings
    return ClaimRules(
        lease_seconds=settings.lease_seconds,
        affinity_seconds=settings.affinity_seconds,
        bucket_seconds=settings.fairness_bucket_seconds,
        modalities=parts.host.profile.modalities,
        context_tokens=parts.host.profile.max_model_len,
        models=model_names(parts.host),
    )


def _registration(parts: WorkerParts) -> WorkerRegistration:
    profile, has_model = parts.host.profile, not isinstance(parts.host, NoEngine)
    sampling, lanes, outage = sampling_of(profile), parts.lanes(), parts.host.outage
    return WorkerRegistration(
        name=parts.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        lanes=tuple(sorted(lanes)),
        slots=parts.slots,
        model=parts.host.model,
        version=version("redraft"),
        modalities=tuple(sorted(profile.modalities)),
        models=tuple(sorted(model_names(parts.host))),
        context_tokens=profile.max_model_len if has_model else 0,
        answer_tokens=sampling.answer_tokens + sampling.thinking_tokens if has_model else 0,
        closed_lanes=tuple(sorted(parts.all_lanes - lanes)),
        engine_fault=outage.why if outage else "",
        fault_seconds=outage.seconds if outage else None,
        restarted_seconds=outage.restarted_seconds if outage else None,
    )


def starting_worker(lanes: frozenset[Lane], outages: Outages) -> WorkerRegistration:
    """How a worker presents itself before its engine answers: it serves nothing yet, and says why."""
    outage = outages.now
    return WorkerRegistration(
        name=worker_name(),
        host=socket.gethostname(),
        pid=os.getpid(),
        lanes=(),
        slots=0,
        model="",
        version=version("redraft"),
        closed_lanes=tuple(sorted(lanes)),
        engine_fault=outage.why if outage else "",
        fault_seconds=outage.seconds if outage else None,
    )
