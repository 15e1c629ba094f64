"""What is left of a group of jobs that are followed together, and the one line that says so. Pure: over frozen rows and
one moment; knows no terminal and no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.store.joblines import Totals
from tasks.store.summaries import JobSummary
from tasks.types import JobState
from workers.cli.output import count, duration


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondsLeft:
    """Until all jobs are finished: `about` if the next iterations are accepted as often as the past ones, `at_most` if
    none is."""

    about: float
    at_most: float


def seconds_left(jobs: Sequence[JobSummary], elapsed: float) -> SecondsLeft | None:
    """Parameters: `jobs` that began together, `elapsed` seconds since then. None before as many iterations are recorded
    as there are jobs: fewer tell little.

    Both are the larger of two times, as in Graham's bound for schedules: all iterations to come at the pace of the jobs
    together, which holds where the engine is shared to the full, and the longest chain of them at its own pace.
    """
    recorded = sum(job.iterations for job in jobs)
    if recorded < len(jobs):
        return None
    unfinished = [job for job in jobs if not job.state.final]
    most = [float(job.budget.iterations - job.iterations) for job in unfinished]
    share = (_accepted(jobs) + 1) / (recorded + 2)  # Laplace's rule of succession
    expected = [(1 - (1 - share) ** left) / share for left in most]  # of a geometric law that is cut off
    paces = [elapsed / max(1, job.iterations) for job in unfinished]

    def longest(left: Sequence[float]) -> float:
        chains = (number * pace for number, pace in zip(left, paces, strict=True))
        return max([sum(left) * elapsed / recorded, *chains])

    return SecondsLeft(about=longest(expected), at_most=longest(most))


# As many iterations recorded since somebody began to watch tell the pace of now.
ENOUGH = 5


def of_totals(first: Totals, now: Totals) -> SecondsLeft | None:
    """The same for any number of jobs, out of their sums at the `first` look and `now`. The pace is that since the
    first look, once some iterations were recorded since then; before that, the one since the first of them started.
    None before as many are recorded as jobs are at work.
    """
    recorded, seconds = now.iterations - first.iterations, (now.now - first.now).total_seconds()
    if recorded < ENOUGH:
        if now.first_started_at is None:
            return None
        recorded, seconds = now.iterations, (now.now - now.first_started_at).total_seconds()
    if recorded < max(1, now.working) or not now.unfinished:
        return None
    pace, chain = seconds / recorded, seconds / max(1, recorded / max(1, now.working))
    share = (now.jobs.get(JobState.ACCEPTED, 0) + 1) / (now.iterations + 2)  # Laplace's rule of succession
    most = now.iterations_left / now.unfinished
    expected = (1 - (1 - share) ** most) / share
    return SecondsLeft(
        about=max(now.unfinished * expected * pace, min(expected, now.longest_left) * chain),
        at_most=max(now.iterations_left * pace, now.longest_left * chain),
    )


def progress_line(jobs: Sequence[JobSummary], rate: float, elapsed: float) -> str:
    """How many are accepted, tokens per second, the time left, then each unfinished job's iteration."""
    left = seconds_left(jobs, elapsed)
    working = [
        f"{job.title} {job.iterations + 1}/{job.budget.iterations}"
        for job in jobs
        if not job.state.final and (job.worker or job.iterations)
    ]
    parts = [
        f"{_accepted(jobs)} of {len(jobs)} accepted",
        f"{count(round(rate))} tok/s" if rate >= 1 else "",
        f"about {duration(left.about)} left, at most {duration(left.at_most)}" if left and left.at_most else "",
        f"iteration: {', '.join(working)}" if working else "",
    ]
    return " · ".join(part for part in parts if part)


def _accepted(jobs: Sequence[JobSummary]) -> int:
    return sum(job.state is JobState.ACCEPTED for job in jobs)
