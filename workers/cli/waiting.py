"""Why a job does not move: one sentence from its row and the workers' own words. Pure; knows neither the database nor
how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from tasks.kinds import JobState
from tasks.store.workerrows import WorkerRow
from workers.cli.output import count, duration

# The lanes whose steps need a local model.
ENGINE_LANES = frozenset({"gpu", "fast"})


class Waits(Protocol):
    """What is read of a job: a `JobLine`, or a summary."""

    @property
    def job(self) -> int: ...
    @property
    def state(self) -> JobState: ...
    @property
    def worker(self) -> str | None: ...
    @property
    def next_lane(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def context_above(self) -> int: ...
    @property
    def waits_for(self) -> str: ...
    @property
    def resting_seconds(self) -> float: ...


def why(job: Waits, workers: Sequence[WorkerRow]) -> str:
    """Why nobody works on an unfinished job, or why its turn gets nowhere; empty where nothing holds it up."""
    if job.state not in (JobState.QUEUED, JobState.RUNNING):
        return ""
    needs_engine = job.next_lane in ENGINE_LANES
    if job.worker is not None:
        holder = next((worker for worker in workers if worker.name == job.worker), None)
        return engine(holder) if needs_engine and holder is not None and holder.engine_fault else ""
    if job.waits_for:
        return job.waits_for
    serving = [worker for worker in workers if worker.live and job.next_lane in worker.lanes]
    if not serving and not (needs_engine and job.model and not _closed(job.next_lane, workers)):
        return lane(job.next_lane, workers)
    return (_model(job, serving) if needs_engine else "") or _rest(job)


def _model(job: Waits, serving: Sequence[WorkerRow]) -> str:
    """What the job needs of a model that none of those who serve its lane has."""
    if job.model and not any(job.model in worker.models for worker in serving):
        return f"no worker serves model {job.model} now"
    if serving and all(worker.context_tokens <= job.context_above for worker in serving):
        return (
            f"waits for a worker of lane {job.next_lane} whose model has a context of more than "
            f"{count(job.context_above)} tokens: its problem does not fit whole, and may not be cut"
        )
    return ""


def _rest(job: Waits) -> str:
    return f"tries again in {duration(job.resting_seconds)} after a fault" if job.resting_seconds >= 1 else ""


def lane(name: str, workers: Sequence[WorkerRow]) -> str:
    """Why no worker serves a lane now."""
    closed = _closed(name, workers)
    if closed:
        return engine(min(closed, key=lambda worker: worker.silent_seconds))
    if not any(worker.live for worker in workers):
        return "no worker is running"
    return f"no worker serves lane {name}"


def _closed(name: str, workers: Sequence[WorkerRow]) -> list[WorkerRow]:
    """Those that would serve a lane if their engine answered."""
    return [worker for worker in workers if name in worker.closed_lanes and worker.engine_fault]


def engine(worker: WorkerRow) -> str:
    """What a worker says of its engine, and since when."""
    if worker.restarted_seconds is not None:
        since = f"restarted {duration(worker.restarted_seconds)} ago"
    else:
        since = f"for {duration(worker.fault_seconds or 0.0)}"
    gone = "" if worker.live else f"; its worker was last seen {duration(worker.silent_seconds)} ago"
    return f"waits for the engine: {worker.engine_fault}, {since}{gone}"


def notes(jobs: Iterable[Waits], workers: Sequence[WorkerRow]) -> Iterator[str]:
    """One line for each reason, with the numbers of the jobs that it holds up."""
    for reason, numbers in reasons(jobs, workers).items():
        yield f"{_jobs(sorted(numbers))}: {reason}"


def reasons(jobs: Iterable[Waits], workers: Sequence[WorkerRow]) -> dict[str, list[int]]:
    """Each reason, with the numbers of the jobs that it holds up."""
    held: dict[str, list[int]] = {}
    for job in jobs:
        reason = why(job, workers)
        if reason:
            held.setdefault(reason, []).append(job.job)
    return held


def _jobs(numbers: Sequence[int], most: int = 8) -> str:
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return f"job{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:most]))}{more}"
