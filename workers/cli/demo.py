"""`redraft demo`: the demo problems on the embedded stack, watched to the end."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import typer

from tasks.client import Client
from tasks.installed import installed_rules
from tasks.jobflags import Flags
from tasks.settings import Settings, load_settings
from tasks.store.joblines import JobLines
from tasks.store.summaries import IterationRow, JobSummary
from tasks.submit import read_jobs
from tasks.types import Acceptance, JobState
from workers.cli.client import connect, job_lines
from workers.cli.estimate import progress_line
from workers.cli.interrupts import is_interrupt
from workers.cli.next_steps import next_steps
from workers.cli.output import Json, duration, emit, note, table
from workers.cli.progress import ProgressLine
from workers.cli.rates import Rates
from workers.cli.stack import ContextFlag, EngineFlag, start_options
from workers.home import Home
from workers.local import stack as local
from workers.packaged import ops
from workers.stackfile import StackFile

app = typer.Typer(rich_markup_mode=None)

History = tuple[IterationRow, ...]
FEEDBACK_CHARS = 90
NOTHING_CORRECTED = 3  # the exit code: finished, but no rejected answer was corrected into an accepted one
TAG, SEED_TAG = "demo", "seed-"


@app.command()
def demo(
    seed: Annotated[int | None, typer.Option(help="The seed of all sampling. Default: a new one each time.")] = None,
    model: Annotated[str, typer.Option("--model", help="A model or a profile.")] = "",
    engine: EngineFlag = None,
    endpoint: Annotated[str, typer.Option("--endpoint", help="An OpenAI-compatible server to use.")] = "",
    context_tokens: ContextFlag = None,
    as_json: Json = False,
) -> None:
    """Start the stack and solve real problems on it, watched to the end.

    Exits 0 if a held-out check accepted an answer after at least one rejected iteration, else 3. After Ctrl-C the next
    demo goes on with the same problems.
    """
    settings = load_settings()
    stack = _start(settings, model, endpoint, engine, context_tokens)
    with (
        connect(stack.user_url, name="redraft demo") as client,
        job_lines(stack.user_url, name="redraft demo") as lines,
    ):
        seed, jobs = _interrupted(client, seed) or _submit(client, settings, seed)
        histories: dict[int, History] = dict.fromkeys(jobs, ())
        try:
            _follow(client, lines, histories)
        except BaseException as error:
            if not is_interrupt(error):
                raise
            note("the stack and its jobs go on; `redraft demo` watches them again, `redraft down` stops them")
            raise KeyboardInterrupt from error
        finished = client.wait(jobs)
    _report(finished, histories, seed, as_json)
    example = next((job.job for job in finished if corrected(job, histories[job.job])), None)
    if example is None:
        note("no problem was accepted after a rejected attempt this time; try again with another seed")
    if not as_json:
        for step in next_steps(example or jobs[0], sys.argv[0]):
            note(step)
    if example is None:
        raise typer.Exit(NOTHING_CORRECTED)


def corrected(job: JobSummary, history: Sequence[IterationRow]) -> bool:
    """Whether a held-out check accepted the job's answer after an iteration in which every candidate was rejected."""
    if job.state is not JobState.ACCEPTED or job.acceptance is not Acceptance.VERIFIED:
        return False
    last = history[-1]
    return last.iteration > 1 and any(verdict.held_out and verdict.passed for verdict in last.verdicts)


def _start(settings: Settings, model: str, endpoint: str, engine: str | None, context_tokens: int | None) -> StackFile:
    """The running stack. Ctrl-C stops what was started, whose downloads would go on unseen."""
    home = Home(root=settings.home)
    was_running = bool(local.status(home))
    try:
        options = start_options(settings, model, endpoint, engine, context_tokens)
        return local.start(home, options, note, attached=False)
    except KeyboardInterrupt:
        if not was_running:
            note("stopping what was started; what was fetched is kept, and the next demo goes on from there")
            local.stop(home)
        raise


def _interrupted(client: Client, seed: int | None) -> tuple[int, list[int]] | None:
    """The seed and the jobs of a demo that is not finished yet, of `seed` where it is given."""
    wanted = () if seed is None else (f"{SEED_TAG}{seed}",)
    unfinished = client.list(states=[JobState.QUEUED, JobState.RUNNING], tags=(TAG, *wanted), limit=1)
    tag = next((tag for job in unfinished for tag in job.tags if tag.startswith(SEED_TAG)), "")
    if not tag:
        return None
    newest = client.list(tags=(TAG, tag), limit=len(_problems()))
    note(f"going on with the problems of a demo that was interrupted, with seed {tag.removeprefix(SEED_TAG)}")
    return int(tag.removeprefix(SEED_TAG)), sorted(job.job for job in newest)


def _submit(client: Client, settings: Settings, seed: int | None) -> tuple[int, list[int]]:
    """The seed and the numbers of new jobs."""
    seed = secrets.randbelow(2**31) if seed is None else seed
    flags = Flags(seed=seed, egress="never", tags=(f"{SEED_TAG}{seed}",))
    jobs = [job.job for job in client.submit(read_jobs(_problems(), flags, installed_rules(settings), bytes))]
    note(f"{len(jobs)} problems submitted with seed {seed}")
    return seed, jobs


def _problems() -> list[str]:
    return [str(path) for path in sorted(ops("demo").glob("*.md"))]


def _follow(client: Client, lines: JobLines, histories: dict[int, History]) -> None:
    """Prints each iteration when it is recorded, and how far all jobs are, until every job is finished. Puts the
    iterations of each job into `histories`."""
    rates = Rates()
    with ProgressLine(sys.stderr) as line:
        for snapshot in client.follow(histories):
            jobs = list(snapshot.values())
            for job, iteration in _recorded(client, jobs, histories):
                note(_line(job, iteration))
            elapsed = max(job.now for job in jobs) - min(job.submitted_at for job in jobs)
            rate = sum(rates.feed(lines.working()).values())
            line.update(progress_line(jobs, rate, elapsed.total_seconds()))


def _recorded(
    client: Client, jobs: Sequence[JobSummary], histories: dict[int, History]
) -> Iterator[tuple[JobSummary, IterationRow]]:
    for job in jobs:
        known = len(histories[job.job])
        if job.iterations > known:
            histories[job.job] = client.history(job)
            for iteration in histories[job.job][known:]:
                yield job, iteration


def _line(job: JobSummary, iteration: IterationRow) -> str:
    failed = next((verdict for verdict in iteration.verdicts if not verdict.passed), None)
    if iteration.guard:
        outcome = f"degenerate ({iteration.guard})"
    elif failed is None:
        outcome = "every check passed, the hidden one too"
    else:
        feedback = "a hidden check failed" if failed.held_out else " ".join(failed.feedback.split())
        outcome = f"{failed.check}: {feedback}"
    if len(outcome) > FEEDBACK_CHARS:
        outcome = outcome[: FEEDBACK_CHARS - 1] + "…"
    return (
        f"job {job.job} {job.title} · iteration {iteration.iteration} {iteration.operator} · "
        f"score {iteration.score or 0:.2f} · {outcome}"
    )


def _report(jobs: Sequence[JobSummary], histories: Mapping[int, History], seed: int, as_json: bool) -> None:
    rows = [
        {
            "job": job.job,
            "title": job.title,
            "state": str(job.state),
            "iterations": job.iterations,
            "score": job.score,
            "local_tokens": job.spend.local_tokens,
            "corrected": corrected(job, histories[job.job]),
        }
        for job in jobs
    ]
    seconds = (max(job.finished_at or job.now for job in jobs) - min(job.submitted_at for job in jobs)).total_seconds()
    written = sum(iteration.completion_tokens for history in histories.values() for iteration in history)
    model = next((i.model for history in histories.values() for i in history if i.model), "")
    if as_json:
        emit({"seed": seed, "model": model, "seconds": seconds, "completion_tokens": written, "jobs": rows})
        return
    shown = [
        [
            str(row["job"]),
            str(row["title"]),
            str(row["state"]),
            str(row["iterations"]),
            f"{row['score'] or 0:.2f}",
            str(row["local_tokens"]),
            "yes" if row["corrected"] else "",
        ]
        for row in rows
    ]
    table(("job", "problem", "state", "iterations", "score", "tokens", "corrected"), shown)
    accepted = sum(job.state is JobState.ACCEPTED for job in jobs)
    note(
        f"{accepted} of {len(jobs)} accepted, {sum(bool(row['corrected']) for row in rows)} of them after a rejected "
        f"iteration, in {duration(seconds)}: {written:,} tokens written by {model}"
    )
