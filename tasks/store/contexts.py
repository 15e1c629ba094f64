"""The contexts of the models that live workers serve, and what follows for a job whose problem is long. Must not know
how a prompt is built or counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, text

from tasks.errors import InvalidInput
from tasks.store.workerrows import WORKER_SILENCE_SECONDS
from tasks.types import JobSpec, Lane
from tasks.window import CUT_HINT, Estimate, Measure, Window, estimate

# A problem of fewer tokens fits the context of any model that is served, so nothing is said of it.
SMALL_TOKENS = 2000
# Problems of one submission that are counted; each takes some milliseconds of its transaction.
MOST_MEASURED = 16


def largest_window(connection: Connection, lane: Lane, model: str = "") -> Window | None:
    """The window with most room for a problem among those of live workers of `lane`, and of `model`
    where one is named; None where none is known."""
    rows = connection.execute(
        text("""SELECT model, context_tokens, answer_tokens FROM workers WHERE :lane = ANY(lanes)
                AND context_tokens > 0 AND (:named = '' OR :named = ANY(models))
                AND seen_at > now() - make_interval(secs => :silence)
                ORDER BY context_tokens - answer_tokens DESC, model LIMIT 1"""),
        {"lane": str(lane), "named": model, "silence": WORKER_SILENCE_SECONDS},
    ).all()
    return next(
        (Window(model=r.model, context_tokens=r.context_tokens, answer_tokens=r.answer_tokens) for r in rows), None
    )


def check_windows(connection: Connection, specs: Sequence[JobSpec], measure: Measure | None = None) -> dict[int, str]:
    """A note on each of `specs`, by its place, whose problem may be longer than the largest context served on its lane.
    Those near its limit are counted by `measure`, the others estimated.

    Raises `InvalidInput` for the first that can't fit whole and may not be cut.
    """
    windows: dict[tuple[Lane, str], Window | None] = {}
    notes: dict[int, str] = {}
    to_measure = MOST_MEASURED if measure else 0
    for place, spec in enumerate(specs):
        served = spec.lane, spec.model
        if served not in windows:
            windows[served] = largest_window(connection, *served)
        where = "problem" if len(specs) == 1 else f"problem of {spec.title!r}"
        window, size = windows[served], estimate(spec)
        if window and measure and to_measure and size.is_near(window.problem_tokens):
            to_measure -= 1
            if (tokens := measure(spec, window.model)) is not None:
                size = Estimate(least=tokens, most=tokens)
        for note in _notes(spec, size, window, where):
            notes[place] = note
    return notes


def _notes(spec: JobSpec, size: Estimate, window: Window | None, where: str) -> Iterator[str]:
    if window is None:
        if size.most > SMALL_TOKENS:
            yield (
                f"the problem is {size}, and no live worker of lane {spec.lane} says what its model's context holds: "
                + ("what does not fit will be left out" if spec.cut else "the job ends where it does not fit")
            )
        return
    room, refusal = window.problem_tokens, window.refusal(str(size))
    if size.least > room and not spec.cut:
        raise InvalidInput(where, f"{size}", f"{window.room}; it needs {CUT_HINT}")
    if size.least > room:
        rest = Estimate(least=size.least - room, most=size.most - room)
        yield f"{refusal}; {rest} of it are left out of each call"
    elif size.most > room:
        yield f"{refusal}; " + (
            "what does not fit is left out of each call" if spec.cut else f"where it does not fit, it needs {CUT_HINT}"
        )


def seek(connection: Connection, job: int, lane: Lane, *, above: int) -> bool:
    """Leaves a job to workers whose context is larger than `above` tokens; False where no live one of `lane` is."""
    served = connection.execute(
        text("""SELECT EXISTS (SELECT 1 FROM workers WHERE :lane = ANY(lanes) AND context_tokens > :above
                               AND (SELECT j.model = '' OR j.model = ANY(models) FROM jobs j WHERE j.id = :job)
                               AND seen_at > now() - make_interval(secs => :silence))"""),
        {"lane": str(lane), "above": above, "job": job, "silence": WORKER_SILENCE_SECONDS},
    ).scalar_one()
    if served:
        connection.execute(
            text("UPDATE leases SET context_above = :above WHERE job_id = :job"), {"above": above, "job": job}
        )
    return bool(served)
