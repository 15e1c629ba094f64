"""Groups of jobs as they are compared: rates by problem, and what an ended job used on average. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tasks.store.summaries import JobSummary
from tasks.types import JobState
from workers.bench.statistics import Estimate, rate_difference, solve_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group. Of its jobs some have not ended (`unfinished`) or were `cancelled`; the others are `ended`, of so many
    different `problems`, and `solved` ones are accepted. `rate` is the share of solved problems, `difference` that to
    the first group's, over the `shared` problems where there are any. Tokens (in + out, the cloud's too), seconds at
    work and dollars are means of an ended job; None where none has ended."""

    name: str
    jobs: tuple[int, ...]
    ended: int
    unfinished: int
    cancelled: int
    problems: int
    solved: int
    rate: Estimate
    difference: Estimate | None
    shared: int
    tokens: float | None
    tokens_per_solved: float | None
    seconds: float | None
    usd: Decimal | None


def compared(groups: Mapping[str, Sequence[JobSummary]], problems: Mapping[int, str]) -> tuple[Group, ...]:
    """Each group by its name; `problems` says by number which problem a job has. The first is compared with none."""
    solved = {name: _solved(jobs, problems) for name, jobs in groups.items()}
    first = next(iter(solved))
    return tuple(
        _group(name, jobs, solved[name], None if name == first else solved[first]) for name, jobs in groups.items()
    )


def _group(
    name: str,
    jobs: Sequence[JobSummary],
    solved: Mapping[str, Sequence[bool]],
    first: Mapping[str, Sequence[bool]] | None,
) -> Group:
    ended = [job for job in jobs if _counts(job)]
    accepted = sum(job.state is JobState.ACCEPTED for job in ended)
    used = sum(map(tokens, ended))
    return Group(
        name=name,
        jobs=tuple(job.job for job in jobs),
        ended=len(ended),
        unfinished=sum(not job.state.final for job in jobs),
        cancelled=sum(job.state is JobState.CANCELLED for job in jobs),
        problems=len(solved),
        solved=accepted,
        rate=solve_rate(solved),
        difference=None if first is None else rate_difference(solved, first),
        shared=0 if first is None else len(set(solved) & set(first)),
        tokens=used / len(ended) if ended else None,
        tokens_per_solved=used / accepted if accepted else None,
        seconds=sum(map(seconds, ended)) / len(ended) if ended else None,
        usd=sum((job.spend.usd for job in ended), Decimal()) / len(ended) if ended else None,
    )


def _counts(job: JobSummary) -> bool:
    """Whether a job says something of the rate: it ended, and no person ended it."""
    return job.state.final and job.state is not JobState.CANCELLED


def _solved(jobs: Sequence[JobSummary], problems: Mapping[int, str]) -> dict[str, list[bool]]:
    """By problem, whether each of its ended jobs was accepted."""
    found: dict[str, list[bool]] = {}
    for job in filter(_counts, jobs):
        found.setdefault(problems[job.job], []).append(job.state is JobState.ACCEPTED)
    return found


def tokens(job: JobSummary) -> int:
    """In + out, the cloud's too."""
    return job.spend.local_tokens + job.spend.cloud_tokens


def seconds(job: JobSummary) -> float:
    """Since its start, without those that its hours do not count; 0 of one that has not started."""
    if job.started_at is None:
        return 0.0
    return max(0.0, ((job.finished_at or job.now) - job.started_at).total_seconds() - float(job.idle_seconds))
