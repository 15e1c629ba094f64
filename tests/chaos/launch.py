"""Starts a process of Redraft as `redraft` would, with one thing changed: its clock, the number of its messages, a
place at which it stops, or a part of it that is crippled so that the suite must go red.

`CHAOS_CLOCK=600` is a clock ten minutes ahead; `CHAOS_TIMES=10` sends every wake-up ten times; `CHAOS_STOP_AT=NAME`
stops the process (SIGSTOP) once, at a crash point; `CHAOS_WITHOUT=fence|renewal|journal|top-up|outbox` takes that
part away. Nothing of the product knows of these.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import time
from typing import Any

from tasks.crashpoints import CrashPoint, armed
from tests.chaos.workload import POISON


def clock(seconds: float) -> None:
    """This process's clock goes wrong, for all that asks Python; what measures spans (monotonic) does not."""
    real, true = time.time, datetime.datetime

    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Wrong:
            return cls.fromtimestamp(true.now().timestamp() + seconds, tz)

        @classmethod
        def utcnow(cls) -> Wrong:
            return cls.now(datetime.UTC).replace(tzinfo=None)

    time.time = lambda: real() + seconds
    datetime.datetime = Wrong  # type: ignore[misc]


def tenfold(times: int) -> None:
    """Every message is sent `times` times under the same id."""
    from celery import Celery

    once = Celery.send_task

    def send(self: Celery, *arguments: Any, **named: Any) -> Any:
        from kombu.utils.uuid import uuid

        named.setdefault("task_id", uuid())
        return [once(self, *arguments, **named) for _ in range(times)][-1]

    Celery.send_task = send


def stopping_at(name: str) -> contextlib.AbstractContextManager[None]:
    """SIGSTOP once, when a thread passes the point: the worst moment for a process to fall asleep."""
    left = [CrashPoint(name)]

    def told(point: CrashPoint) -> None:
        if point in left:
            left.clear()
            os.kill(os.getpid(), signal.SIGSTOP)

    return armed(told)


def poison() -> None:
    """A job with the poison's words kills its worker when its answer is asked for, as one that eats all memory does."""
    from tasks.llm.chat import OpenAIChatModel

    complete = OpenAIChatModel.complete

    def fatal(self: OpenAIChatModel, request: Any, heartbeat: Any) -> Any:
        if any(POISON in message.content for message in request.messages):
            os.kill(os.getpid(), signal.SIGKILL)
        return complete(self, request, heartbeat)

    OpenAIChatModel.complete = fatal  # type: ignore[method-assign]


def without(part: str) -> None:
    """Takes one part away that durability rests on."""
    from sqlalchemy import text

    from tasks.store import dispatch, lease_renewer, leases, ledger, outbox
    from workers import relay

    match part:
        case "fence":
            leases.fence = lambda connection, held: None
        case "renewal":
            lease_renewer.LeaseRenewer._renew = lambda self, connection: None  # type: ignore[method-assign]
        case "journal":
            ledger.PostgresLedger.find_call = lambda self, claim, key, prompt_hash: None  # type: ignore[method-assign]
        case "top-up":
            demand, told = dispatch.demand, set[tuple[str, int]]()

            def first_time_only(database: Any, lanes: Any) -> Any:
                """What is runnable is told of once, as an edge: whoever loses the message loses the job."""
                found = []
                for lane in demand(database, lanes):
                    if (lane.lane, lane.runnable) not in told and lane.runnable:
                        told.add((lane.lane, lane.runnable))
                        found.append(lane)
                return tuple(found)

            relay.dispatch.demand = first_time_only  # type: ignore[attr-defined]
        case "outbox":
            # Sent once, and forgotten whatever came of it.
            outbox._FAILED = text(f"{outbox._DELIVERED} RETURNING false")
        case _:
            raise ValueError(part)


def main() -> None:
    """`python -m tests.chaos.launch worker …`: the command line of `redraft`."""
    if seconds := os.environ.get("CHAOS_CLOCK"):
        clock(float(seconds))
    if times := os.environ.get("CHAOS_TIMES"):
        tenfold(int(times))
    if part := os.environ.get("CHAOS_WITHOUT"):
        without(part)
    poison()
    from workers.cli.main import main as redraft

    point = os.environ.get("CHAOS_STOP_AT")
    with stopping_at(point) if point else contextlib.nullcontext():
        redraft()


if __name__ == "__main__":
    main()
