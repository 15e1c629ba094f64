"""The composition root of a worker: settings → parts. Nothing else decides which implementation is used."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable
from importlib.metadata import version

from celery import Celery

from tasks.escalation import Escalation, NoCloud
from tasks.journal import JournalledModel, Sampling
from tasks.judge_panel import ModelJudgePanel
from tasks.lesson_service import MemoryLessonService, NoLessonService
from tasks.llm.chat import OpenAIChatModel
from tasks.llm.prices import prices_of
from tasks.llm.responsebody import CloudTerms
from tasks.llm.responses import OpenAIResponses
from tasks.llm.thoughts import Thinking
from tasks.loop import ENGINE_LANES, Loop
from tasks.policy import hours_used
from tasks.ports import Cloud, Sandbox
from tasks.settings import Settings
from tasks.store.attachments import read_content
from tasks.store.dispatch import ClaimRules
from tasks.store.escalations import PostgresEscalations
from tasks.store.lease_renewer import LeaseRenewer, WorkerRegistration
from tasks.store.ledger import PostgresLedger
from tasks.store.session import WORKER_LOCK_SECONDS, Database
from tasks.types import Lane, TurnReport
from tasks.validators.registry import accepted, examine, score, validate
from workers.addresses import memory_bank
from workers.engine.admission import AdmissionController
from workers.engine.host import ModelHost, NoEngine
from workers.engine.load import read_load
from workers.engine.profiles import Serving
from workers.events import TurnEvents
from workers.strategies import strategies
from workers.turn_runner import TurnRunner

# Commits take milliseconds: more turns than this wait for each other at the disk, not for a connection.
MOST_CONNECTIONS = 16
# A wake-up waits so long for room at the engine; the relay sends another every second.
ADMISSION_SECONDS = 1.0


def worker_name() -> str:
    """Unique to the process: a restarted worker is another holder of leases."""
    return f"{socket.gethostname()}-{os.getpid()}"


def build_cloud(settings: Settings, database: Database) -> Cloud:
    """The cloud model where a key is configured. Raises `InvalidInput` for a model whose prices nobody knows."""
    key = settings.openai_api_key.get_secret_value()
    if not key:
        return NoCloud()
    return Escalation(
        ledger=PostgresEscalations(database),
        cloud=OpenAIResponses(
            base_url=settings.openai_base_url,
            api_key=key,
            first_event_seconds=settings.cloud_first_event_seconds,
            answer_seconds=settings.cloud_answer_seconds,
        ),
        terms=CloudTerms(
            model=settings.cloud_model,
            effort=settings.cloud_effort,
            output_tokens=settings.cloud_output_tokens,
            store=settings.cloud_store,
        ),
        prices=prices_of(settings.cloud_model, settings.cloud_prices),
        fault_cap=min(settings.cloud_fault_cap, settings.fault_cap),
    )


def _chat(settings: Settings, host: ModelHost, database: Database) -> OpenAIChatModel:
    profile, terms = host.profile, host.profile.thinking
    return OpenAIChatModel(
        base_url=host.url,
        model=host.model,
        api_key=settings.endpoint_key.get_secret_value() or "none",
        context_tokens=profile.max_model_len,
        first_token_seconds=settings.first_token_seconds,
        token_silence_seconds=settings.token_silence_seconds,
        extra=profile.request_extra,
        engine=host.describe(),
        files=functools.partial(read_content, database),
        capabilities=host.capabilities,
        thinking=Thinking(on=terms.on, off=terms.off, budget=terms.budget) if terms else Thinking(),
    )


def _sampling(profile: Serving) -> Sampling:
    return Sampling(
        temperature=profile.temperature,
        top_p=profile.top_p,
        top_k=profile.top_k,
        answer_tokens=profile.max_answer_tokens,
        review_tokens=profile.max_review_tokens,
        thinking_tokens=profile.thinking.tokens if profile.thinking else 0,
    )


def _admission(settings: Settings, host: ModelHost, *, slots: int, width: int) -> AdmissionController:
    root, key = host.url.removesuffix("/v1"), settings.endpoint_key.get_secret_value()
    return AdmissionController(
        requests=host.sequences or slots * max(1, width),
        width=max(1, width),
        read=lambda: read_load(root, key=key) if host.capabilities.metrics else None,
    )


def build_turn_runner(
    settings: Settings,
    *,
    app: Celery,
    url: str,
    name: str,
    host: ModelHost,
    sandbox: Sandbox,
    lanes: Callable[[], frozenset[Lane]],
    slots: int,
) -> tuple[TurnRunner, LeaseRenewer, TurnEvents]:
    """The parts of one worker process, not yet started."""
    database = Database(
        url,
        name="redraft worker",
        pool=max(4, min(slots, MOST_CONNECTIONS)),
        lock_seconds=WORKER_LOCK_SECONDS,
    )
    ledger = PostgresLedger(database, fault_cap=settings.fault_cap)
    profile = host.profile
    width = settings.width or (0 if isinstance(host, NoEngine) else profile.width)
    admission = _admission(settings, host, slots=slots, width=width)
    model = JournalledModel(
        ledger=ledger, model=_chat(settings, host, database), sampling=_sampling(profile), admission=admission
    )
    bank = memory_bank(settings)
    make_loop = functools.partial(
        Loop,
        ledger=ledger,
        model=model,
        strategies=strategies(),
        validate=validate,
        examine=examine,
        grade=lambda verdicts, checks: (score(verdicts, checks), accepted(verdicts, checks)),
        sandbox=sandbox,
        judge_panel=ModelJudgePanel(model=model),
        lesson_service=MemoryLessonService(bank=bank, model=model) if bank else NoLessonService(),
        cloud=build_cloud(settings, database) if Lane.CLOUD in lanes() else NoCloud(),
        move_up_after=settings.move_up_after,
        escalate_after=settings.escalate_after,
        width=width,
        hours=hours_used,
        modalities=profile.modalities,
    )

    def loop(say: Callable[[TurnReport], None]) -> Loop:
        return make_loop(say=say)

    def registration() -> WorkerRegistration:
        return WorkerRegistration(
            name=name,
            host=socket.gethostname(),
            pid=os.getpid(),
            lanes=tuple(sorted(lanes())),
            slots=slots,
            model=host.model,
            version=version("redraft"),
            modalities=tuple(sorted(profile.modalities)),
        )

    renewer = LeaseRenewer(
        url, registration, lease_seconds=settings.lease_seconds, silence_seconds=settings.silence_seconds
    )
    events = TurnEvents(app, name)
    rules = ClaimRules(
        lease_seconds=settings.lease_seconds,
        affinity_seconds=settings.affinity_seconds,
        bucket_seconds=settings.fairness_bucket_seconds,
        modalities=profile.modalities,
    )

    def can_admit(lane: Lane, turn: str) -> bool:
        return lane not in ENGINE_LANES or admission.take_turn(turn, ADMISSION_SECONDS)

    runner = TurnRunner(
        database=database,
        renewer=renewer,
        worker=name,
        slots=slots,
        lanes=lanes,
        loop=loop,
        rules=rules,
        events=events,
        can_admit=can_admit,
        on_turn_end=admission.on_turn_end,
    )
    return runner, renewer, events
