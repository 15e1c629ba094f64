"""Procrastinate's side: its own fetch, and its worker woken by LISTEN. It has no steps: a step is a job of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

from measure import CLAIMERS, main
from procrastinate import App, PsycopgConnector

_started: dict[int, float] = {}
# It warns of apps made in the main module, where a worker of another process would not find them.
logging.getLogger("procrastinate").setLevel(logging.ERROR)


def app_at(url: str) -> App:
    """An app with one task that says when it began to run."""
    app = App(connector=PsycopgConnector(conninfo=url.replace("+psycopg", ""), min_size=CLAIMERS, max_size=CLAIMERS))

    @app.task(name="note")
    async def note(number: int) -> None:
        _started[number] = time.time()

    return app


def claims(url: str, count: int) -> dict[str, object]:
    """`count` deferred jobs, fetched one a transaction by as many coroutines as the others have threads."""

    async def run(app: App) -> dict[str, object]:
        begun = time.perf_counter()
        await app.tasks["note"].batch_defer_async(*({"number": number} for number in range(count)))
        submitted = time.perf_counter() - begun
        each: list[float] = []

        async def claimer() -> None:
            worker = await app.job_manager.register_worker()
            while True:
                begun = time.perf_counter()
                if await app.job_manager.fetch_job(queues=None, worker_id=worker) is None:
                    return
                each.append(time.perf_counter() - begun)

        begun = time.perf_counter()
        await asyncio.gather(*(claimer() for _ in range(CLAIMERS)))
        return {"seconds": time.perf_counter() - begun, "each": each, "enqueue": submitted}

    return asyncio.run(_within(url, run))


def latency(url: str, count: int) -> dict[str, object]:
    """From the call that defers to the task's first line, one at a time, on an idle worker."""

    async def run(app: App) -> dict[str, object]:
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, concurrency=1))
        await asyncio.sleep(1.0)
        each = [await _one(app, number) for number in range(count + 1)][1:]
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        return {"seconds": sum(each), "each": each}

    return asyncio.run(_within(url, run))


def steps(url: str, count: int) -> dict[str, object]:
    """A chain of `count` jobs, of which each defers the next: what a durable step costs where a job is the step."""

    async def run(app: App) -> dict[str, object]:
        begun_at: list[float] = []
        ended = asyncio.Event()

        @app.task(name="link")
        async def link(left: int) -> None:
            begun_at.append(time.perf_counter())
            if left:
                await app.tasks["link"].defer_async(left=left - 1)
            else:
                ended.set()

        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, concurrency=1))
        await app.tasks["link"].defer_async(left=count)
        await ended.wait()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        each = [later - earlier for earlier, later in pairwise(begun_at)]
        return {"seconds": sum(each), "each": each}

    return asyncio.run(_within(url, run))


async def _one(app: App, number: int) -> float:
    begun = time.time()
    await app.tasks["note"].defer_async(number=number)
    while number not in _started:
        await asyncio.sleep(0.0005)
    return _started.pop(number) - begun


async def _within(url: str, run: Callable[[App], Awaitable[dict[str, object]]]) -> dict[str, object]:
    app = app_at(url)
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        return await run(app)


if __name__ == "__main__":
    main({"claims": claims, "steps": steps, "latency": latency})
