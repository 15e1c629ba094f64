"""Why a job waits, in a line: from what its row and the workers say. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.store.board_rows import JobLine, LaneRow
from tasks.types import JobState, Lane
from workers.ui.text import one_line
from workers.wording import duration

# Lanes whose steps need the model of an engine.
ENGINE_LANES = (Lane.GPU, Lane.FAST)
# A holder that has brought nothing for this long is worth a word.
QUIET_SECONDS = 30.0


def why_waiting(job: JobLine, lanes: Sequence[LaneRow], engine: str = "") -> str:
    """What an unfinished job without a worker waits for. `engine` says what is wrong with the engine, if anything
    is."""
    if job.state is JobState.PAUSED:
        return "paused by its owner"
    if job.state is JobState.NEEDS_INPUT:
        return f"waits for an answer: `redraft answer {job.job}`"
    left = (job.run_at - job.now).total_seconds()
    if job.fault:
        again = f"is tried again in {duration(left)}" if left > 0 else "is tried again"
        return f"{again} after a fault: {one_line(job.fault)}"
    return _who_is_missing(job, lanes, engine) or _whose_turn(job, left)


def _who_is_missing(job: JobLine, lanes: Sequence[LaneRow], engine: str) -> str:
    """Why no worker could take it; empty where one could."""
    if not any(row.workers for row in lanes):
        return "no worker is alive"
    if engine and job.lane in ENGINE_LANES:
        return f"waits for the engine: {one_line(engine)}"
    if not any(row.workers for row in lanes if row.lane == job.lane):
        return f"no worker serves lane {job.lane}"
    if not job.served:
        return f"no worker serves model {job.model}"
    if job.context_above:
        return f"its problem needs a model with more than {job.context_above:,} tokens of context"
    return ""


def _whose_turn(job: JobLine, left: float) -> str:
    if left > 0:
        return f"waits {duration(left)} more"
    waited = duration((job.now - job.waiting_since).total_seconds())
    return f"waits for a free slot on lane {job.lane}, for {waited}"


def what_runs(job: JobLine) -> str:
    """What a job does whose worker holds it."""
    if job.cancel_requested:
        return "is being cancelled"
    if job.pause_requested:
        return "is being paused"
    doing = job.phase or "at work"
    quiet = (job.now - job.progress_at).total_seconds()
    return f"{doing}, silent for {duration(quiet)}" if quiet > QUIET_SECONDS else doing
