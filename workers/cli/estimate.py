"""What is left of a group of jobs that are followed together, and the one line that says so. Pure: over frozen rows and
one moment; knows no terminal and no database."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.store.summaries import JobSummary
from tasks.types import JobState
from workers.cli.output import count, duration


def seconds_left(jobs: Sequence[JobSummary], elapsed: float) -> float | None:
    """At most how many seconds until all `jobs` are finished, if iterations go on as they went in the `elapsed` seconds
    so far; None before the first is recorded.

    A job may be accepted by its next iteration, so only a limit is known: all iterations that the budgets still allow.
    As in Graham's bound for schedules it is the larger of two: all of them at the pace of the jobs together, where the
    engine is shared to the full, and the longest chain at its own pace, where it is not.
    """
    recorded = sum(job.iterations for job in jobs)
    if not recorded:
        return None
    unfinished = [job for job in jobs if not job.state.final]
    left = [job.budget.iterations - job.iterations for job in unfinished]
    chains = [n * elapsed / max(1, job.iterations) for n, job in zip(left, unfinished, strict=True)]
    return max([sum(left) * elapsed / recorded, *chains])


def progress_line(jobs: Sequence[JobSummary], rate: float, elapsed: float) -> str:
    """How many are accepted, tokens per second, the time left, then each unfinished job's iteration."""
    accepted = sum(job.state is JobState.ACCEPTED for job in jobs)
    left = seconds_left(jobs, elapsed)
    working = [
        f"{job.title} {job.iterations + 1} of {job.budget.iterations}"
        for job in jobs
        if not job.state.final and (job.worker or job.iterations)
    ]
    parts = [
        f"{accepted} of {len(jobs)} accepted",
        f"{count(round(rate))} tok/s" if rate >= 1 else "",
        f"at most {duration(left)} left" if left else "",
        f"iteration: {', '.join(working)}" if working else "",
    ]
    return " · ".join(part for part in parts if part)
