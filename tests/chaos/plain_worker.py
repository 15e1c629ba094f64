"""Plain Celery's worker in the chaos suite: one task a job, acknowledged late, as its manual advises for work that must
not be lost. `python -m celery -A tests.chaos.plain_worker worker …`.

Its best sensible configuration: prefetch of one, a redelivery for a lost worker, retries without end and with backoff
for every error, a result that is looked for before work is done and written at most once. What it can't have without a
journal of its own: a step that is not done again.
"""

from __future__ import annotations

import json
import os
import signal
import urllib.request

import psycopg
from celery import Celery, Task
from celery.signals import worker_ready

from tests.chaos.workload import POISON, WRONG_TRIES, Riddle

VISIBILITY_SECONDS = 12  # three times what a job takes when nothing is wrong
SOCKET_SECONDS = 10
SILENCE_SECONDS = 5.0  # as Redraft's workers are given in the suite
READY = "the worker takes work"

TABLES = """
CREATE TABLE plain_jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number bigint NOT NULL,
    answer text, finished_at timestamptz);
CREATE TABLE plain_calls (job_id bigint NOT NULL, iteration int NOT NULL, operator text NOT NULL, slot int NOT NULL,
    text text NOT NULL, pid bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE plain_starts (job_id bigint NOT NULL, pid bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE plain_lessons (job_id bigint NOT NULL)"""


def make_app(broker: str) -> Celery:
    """An app on `broker`, database 1 of the same Valkey."""
    app = Celery("plain", broker=broker)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        task_ignore_result=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_acquire_timeout=SOCKET_SECONDS,
        visibility_timeout=VISIBILITY_SECONDS,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            # By default it looks for lost messages every hundred seconds.
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "socket_timeout": SOCKET_SECONDS,
            "socket_connect_timeout": SOCKET_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
        worker_soft_shutdown_timeout=2,
        worker_hijack_root_logger=False,
    )
    return app


app = make_app(os.environ.get("PLAIN_BROKER", "redis://127.0.0.1:1/1"))


@worker_ready.connect  # type: ignore[untyped-decorator]
def _ready(**_: object) -> None:
    print(READY, flush=True)


@app.task(  # type: ignore[untyped-decorator]
    name="plain.solve",
    bind=True,
    autoretry_for=(Exception,),
    retry_backoff=1,
    retry_backoff_max=4,
    retry_jitter=False,
    max_retries=None,
)
def solve(self: Task, job: int, number: int, memory: bool, poison: bool) -> None:
    """The whole job: drafts, then reviews and revisions of both, until one is right."""
    riddle = Riddle(number=number, memory=memory, poison=poison)
    with _database() as database:
        done = database.execute("SELECT finished_at IS NOT NULL FROM plain_jobs WHERE id = %s", (job,)).fetchone()
        if done is None or done[0]:
            return
        database.execute("INSERT INTO plain_starts (job_id, pid) VALUES (%s, %s)", (job, os.getpid()))
    tried = [""] * 2
    for iteration in range(1, WRONG_TRIES + 2):
        for slot, last in enumerate(tried):
            if last:
                _call(job, iteration, "review", slot, f"{riddle.problem}\n{last}\nList the problems")
            tried[slot] = _call(job, iteration, "revise" if last else "draft", slot, f"{riddle.problem}\n{last}\n")
        right = next((text for text in tried if text.endswith(f"ANSWER: {riddle.right}")), "")
        if right:
            break
    with _database() as database:
        first = database.execute(
            "UPDATE plain_jobs SET answer = %s, finished_at = now() WHERE id = %s AND finished_at IS NULL", (right, job)
        )
        if memory and first.rowcount:
            database.execute("INSERT INTO plain_lessons (job_id) VALUES (%s)", (job,))


def _call(job: int, iteration: int, operator: str, slot: int, prompt: str) -> str:
    """A call to the model that is recorded when it has come back: it was paid for."""
    if POISON in prompt:
        os.kill(os.getpid(), signal.SIGKILL)
    said = _asked(prompt, seed=iteration * 10 + slot)
    with _database() as database:
        database.execute(
            "INSERT INTO plain_calls (job_id, iteration, operator, slot, text, pid) VALUES (%s, %s, %s, %s, %s, %s)",
            (job, iteration, operator, slot, said, os.getpid()),
        )
    return said


def _asked(prompt: str, seed: int) -> str:
    """One streamed answer of the stand-in engine."""
    body = json.dumps({"messages": [{"role": "user", "content": prompt}], "seed": seed, "stream": True}).encode()
    request = urllib.request.Request(os.environ["PLAIN_ENDPOINT"] + "/chat/completions", data=body)
    said, finished = "", False
    with urllib.request.urlopen(request, timeout=SILENCE_SECONDS) as response:
        for line in response:
            data = line.decode().strip().removeprefix("data: ")
            if data and data != "[DONE]":
                for choice in json.loads(data)["choices"]:
                    said += choice["delta"].get("content") or ""
                    finished = finished or choice["finish_reason"] == "stop"
    if not finished:
        raise OSError("the engine broke off")
    return said


def _database() -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(os.environ["PLAIN_DATABASE"], connect_timeout=5, tcp_user_timeout=10_000)
