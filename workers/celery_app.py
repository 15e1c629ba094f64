"""The Celery app: wake-ups only. A message names a lane and nothing else; Postgres holds the truth."""

from __future__ import annotations

from celery import Celery

from tasks.settings import load_settings
from tasks.types import Lane
from workers.addresses import broker_url
from workers.broker_url import read_broker_url

SOCKET_TIMEOUT_SECONDS = 10


def make_app(broker: str) -> Celery:
    """An app on `broker`, an address as `broker_url` has it, with the queue rules of the design: JSON only, early
    acknowledgement, no prefetch, no results. The visibility timeout is the same wherever it can be set."""
    visibility_timeout = load_settings().visibility_timeout_seconds
    transport = {
        "visibility_timeout": visibility_timeout,
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 5,
    }
    app = Celery("redraft", broker=read_broker_url(broker).celery, set_as_current=True)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        event_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,  # a turn emits its own: an empty wake-up emits none
        worker_soft_shutdown_timeout=0,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_acquire_timeout=SOCKET_TIMEOUT_SECONDS,
        broker_transport_options=transport,
        visibility_timeout=visibility_timeout,
        task_default_queue=str(Lane.CHECK),
        task_create_missing_queues=True,
        event_queue_ttl=60.0,
        event_queue_expires=120.0,
        timezone="UTC",
        enable_utc=True,
    )
    return app


def __getattr__(name: str) -> Celery:
    """`workers.celery_app:app`, made when the `celery` command asks for it: settings are read only then."""
    if name == "app":
        return make_app(broker_url())
    raise AttributeError(name)
