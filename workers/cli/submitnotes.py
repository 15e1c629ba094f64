"""What the person who submits jobs must know of them, a line each. Pure; must not know how it is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.store.summaries import Submitted
from tasks.store.workerrows import WorkerRow
from tasks.submit import Submission
from tasks.types import Egress, JobSpec
from workers.cli import waiting

FILES_NAMED = 8
# How an operator opens the deployment; a key that lies in the environment for other tools opens nothing.
CLOUD_BY = "`redraft up --cloud`, or REDRAFT_EGRESS=full and an OpenAI key"


def notes(submission: Submission, jobs: Sequence[Submitted], workers: Sequence[WorkerRow]) -> Iterator[str]:
    """All lines about `jobs`, as they were stored, in the order in which they are shown."""
    yield from submission.notes
    yield from _files(submission.specs)
    yield from (f"job {job.job}: {job.note}" for job in jobs if job.note)
    yield from _blind(submission.specs)
    yield from _engines(submission.specs, workers)
    yield from _models(submission.specs, workers)
    yield from _batch(jobs)
    yield _cloud(submission.specs, [job.egress for job in jobs], workers)
    known = sum(1 for job in jobs if not job.new)
    if known:
        yield f"{known} of {len(jobs)} keys had been used before: the same jobs are given back"


def _files(specs: Sequence[JobSpec]) -> Iterator[str]:
    """Which files go along with the jobs: one that a link or a test takes along is never silent."""
    attached = dict.fromkeys(attachment.name for spec in specs for attachment in spec.attachments)
    checks = (check for spec in specs for check in spec.checks if isinstance(check.value, str))
    needed = dict.fromkeys(name for check in checks for name in check.files if name != check.value)
    written = dict.fromkeys(name for spec in specs for name in spec.files.writable)
    read_only = dict.fromkeys(name for spec in specs for name in spec.files.read_only)
    groups = {"attached": attached, "with the checks": needed, "may be changed": written, "read-only": read_only}
    for title, names in ((title, list(group)) for title, group in groups.items()):
        if names:
            more = f" and {len(names) - FILES_NAMED} more" if len(names) > FILES_NAMED else ""
            yield f"{title}: {', '.join(names[:FILES_NAMED])}{more}"


def _blind(specs: Sequence[JobSpec]) -> Iterator[str]:
    """One line where a job has nothing but held-out checks: nothing corrects its model."""
    blind = [spec for spec in specs if all(check.held_out for check in spec.checks)]
    if blind:
        which = f"{blind[0].title!r} has" if len(specs) == 1 else f"{len(blind)} of {len(specs)} jobs have"
        yield f"{which} held-out checks only: the model learns that an answer failed, and never why"


def _engines(specs: Sequence[JobSpec], workers: Sequence[WorkerRow]) -> Iterator[str]:
    """One line for each lane that is closed since its engine does not answer."""
    for lane in dict.fromkeys(spec.lane for spec in specs):
        served = any(worker.live and lane in worker.lanes for worker in workers)
        if not served and any(lane in worker.closed_lanes for worker in workers):
            yield f"nothing drafts on lane {lane} now, the jobs wait: {waiting.lane(lane, workers)}"


def _models(specs: Sequence[JobSpec], workers: Sequence[WorkerRow]) -> Iterator[str]:
    """One line for each model that jobs name and nobody serves now."""
    live = [worker for worker in workers if worker.live and not {"gpu", "fast"}.isdisjoint(worker.lanes)]
    served = ", ".join(sorted({worker.model for worker in live if worker.model})) or "no model"
    known = {name for worker in live for name in worker.models}
    for name in dict.fromkeys(spec.model for spec in specs if spec.model):
        if name not in known:
            yield f"no worker serves model {name} now (served: {served}): the job waits for one that does"


def _batch(jobs: Sequence[Submitted]) -> Iterator[str]:
    """One line for the batch that this submission made, if it made one."""
    new = [job for job in jobs if job.new and job.batch is not None]
    if new:
        yield f"batch {new[0].batch}: {len(new)} jobs share one budget; `redraft ls --batch {new[0].batch}` lists them"


def _cloud(specs: Sequence[JobSpec], stored: Sequence[Egress], workers: Sequence[WorkerRow]) -> str:
    """One line: whether these jobs may ask the cloud, and why."""
    free = len(stored) - stored.count(Egress.NEVER)
    if not free and all(spec.egress is Egress.NEVER for spec in specs):
        named = ", ".join(sorted({str(spec.egress) for spec in specs}))
        return f"escalation is off for these jobs (egress: {named}): every word stays at home"
    if not free:
        return f"escalation is off, for no cloud is configured ({CLOUD_BY}): every word stays at home"
    live = [worker for worker in workers if worker.live]
    kept = f", {len(specs) - free} of {len(specs)} stay at home" if free < len(specs) else ""
    if hints := stored.count(Egress.HINT):
        kept = f"{kept}, {hints} of {len(specs)} for hints alone"
    if any("cloud" in worker.lanes for worker in live):
        return f"escalation is on, for a worker serves the cloud; `--egress never` keeps a job at home{kept}"
    return f"escalation is on, for REDRAFT_EGRESS says so, as soon as a worker serves lane cloud{kept}"
