"""The live table of jobs at one moment, as wide and as high as the terminal. Pure: over frozen rows; knows neither the
database nor the keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tasks.kinds import JobState
from tasks.printable import printable
from tasks.store.joblines import JobLine, Totals
from tasks.store.workerrows import WorkerRow
from workers.cli import output, waiting
from workers.cli.estimate import SecondsLeft

COLOURS = {JobState.ACCEPTED: "green", JobState.RUNNING: "cyan", JobState.QUEUED: "", JobState.PAUSED: "yellow"}
COLOURS[JobState.NEEDS_INPUT] = "magenta"
# A title needs room for its first words, and so does what a job does.
LEAST_TITLE, LEAST_NOW = 34, 24
# From this many columns on, what a job does has a column of its own.
WIDE = 110
BAR = 10
GAP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is shown: a page of `jobs` from `offset` on, the `totals` of all that are followed, tokens per second by job
    (`rates`), the `workers`, and how long it may still take. `keys` says whether the page can be moved."""

    jobs: Sequence[JobLine]
    totals: Totals
    rates: Mapping[int, float]
    workers: Sequence[WorkerRow]
    left: SecondsLeft | None = None
    offset: int = 0
    keys: bool = False

    @property
    def number(self) -> int:
        """How many jobs are followed."""
        return sum(self.totals.jobs.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`worth` decides which is left out first where the terminal is narrow: the largest; 0 stays always."""

    name: str
    worth: int
    cell: Callable[[JobLine, Look], str]
    right: bool = True


COLUMNS = (
    Column(name="job", worth=0, cell=lambda job, look: str(job.job)),
    Column(name="state", worth=0, cell=lambda job, look: str(job.state), right=False),
    Column(name="iter", worth=0, cell=lambda job, look: f"{_iteration(job)}/{job.budget_iterations}"),
    Column(name="score", worth=0, cell=lambda job, look: output.score_of(job)),
    Column(name="tok/s", worth=1, cell=lambda job, look: rate(look.rates.get(job.job, 0.0))),
    Column(name="used", worth=2, cell=lambda job, look: f"{min(1.0, used(job)):.0%}"),
    Column(name="budget", worth=6, cell=lambda job, look: bar(job), right=False),
    Column(name="tokens", worth=5, cell=lambda job, look: output.count(job.tokens)),
    Column(name="spent", worth=4, cell=lambda job, look: output.usd(job.usd)),
    Column(name="age", worth=3, cell=lambda job, look: output.duration(job.age_seconds)),
)


def view(look: Look, *, width: int, height: int) -> RenderableType:
    """The whole screen: totals, why nothing moves, the table, and the keys."""
    above = [Text(line, no_wrap=True, overflow="ellipsis", style=style) for line, style in _above(look, width)]
    jobs = look.jobs[: rows_shown(look, width=width, height=height)]
    below = [Text(_below(look, len(jobs)), style="dim", no_wrap=True, overflow="ellipsis")] if look.keys else []
    return Group(*above, _table(look, jobs, width), *below)


def rows_shown(look: Look, *, width: int, height: int) -> int:
    """How many jobs have room on the screen."""
    return max(1, height - len(_above(look, width)) - int(look.keys) - 1)


def used(job: JobLine) -> float:
    """The largest share used of iterations, tokens, hours and dollars."""
    return max(
        job.iterations / job.budget_iterations,
        job.tokens / job.budget_tokens,
        job.run_seconds / 3600 / job.budget_hours,
        float(job.usd / job.budget_usd) if job.budget_usd else 0.0,
    )


def bar(job: JobLine, width: int = BAR) -> str:
    """How much of the budget's scarcest part is used, or that it is done."""
    filled = width if job.state is JobState.ACCEPTED else round(min(1.0, used(job)) * width)
    return "█" * filled + "░" * (width - filled)


def rate(tokens_per_second: float) -> str:
    """Tokens per second: one place after the point where there are few."""
    if tokens_per_second < 0.05:
        return "-"
    return f"{tokens_per_second:.1f}" if tokens_per_second < 10 else output.count(round(tokens_per_second))


def doing(job: JobLine, workers: Sequence[WorkerRow]) -> str:
    """What a job is doing, or why it does nothing, in a few words."""
    if job.state.final:
        return job.reason
    if job.cancel_requested:
        return "cancelling"
    if job.pause_requested:
        return "pausing"
    if job.state in (JobState.PAUSED, JobState.NEEDS_INPUT):
        return f"asks: {job.question}" if job.question else "until it is resumed"
    held = waiting.why(job, workers)
    if held or not job.worker:
        return held or "waiting"
    return " · ".join(part for part in (job.operator, job.phase) if part)


def _iteration(job: JobLine) -> int:
    return job.iterations if job.state.final else min(job.iterations + 1, job.budget_iterations)


def _above(look: Look, width: int) -> list[tuple[str, str]]:
    totals = look.totals
    resting = sum(totals.jobs.get(state, 0) for state in (JobState.QUEUED, JobState.RUNNING)) - totals.working
    others = [
        f"{number} {state}"
        for state, number in totals.jobs.items()
        if state.final or state in ("paused", "needs_input")
    ]
    jobs = " · ".join([f"{totals.working} at work", *([f"{resting} waiting"] if resting else []), *others])
    spent = [
        f"{rate(sum(look.rates.values()))} tok/s",
        f"{output.count(totals.tokens)} tokens",
        output.usd(totals.usd),
    ]
    if look.left is not None and look.left.at_most >= 1:
        about, most = output.duration(look.left.about), output.duration(look.left.at_most)
        spent.append(f"about {about} left, at most {most}")
    one, two = jobs, " · ".join(spent)
    lines = [(f"{one} · {two}", "bold")] if len(one) + len(two) + 3 <= width else [(one, "bold"), (two, "")]
    return [*lines, *((printable(reason), "yellow") for reason in waiting.reasons(look.jobs, look.workers))]


def _below(look: Look, rows: int) -> str:
    last = look.offset + rows
    return f"{min(look.offset + 1, last)}-{last} of {look.number} · ↑ ↓ PgUp PgDn move · q leaves"


def _table(look: Look, jobs: Sequence[JobLine], width: int) -> Table:
    cells = {column.name: [column.cell(job, look) for job in jobs] for column in COLUMNS}
    widths = {name: max(len(name), *map(len, texts)) if texts else len(name) for name, texts in cells.items()}
    shown = _fitting(widths, width)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim", expand=True)
    for column in shown:
        table.add_column(
            column.name, no_wrap=True, justify="right" if column.right else "left", width=widths[column.name]
        )
    wide = width >= WIDE
    for name in ("title", "now") if wide else ("now",):
        table.add_column(name, ratio=1, no_wrap=True, overflow="ellipsis")
    for number, job in enumerate(jobs):
        fixed = [Text(cells[column.name][number], style=_style(column, job)) for column in shown]
        what = (job.title, doing(job, look.workers))
        texts = what if wide else (" · ".join(part for part in what if part),)
        table.add_row(*fixed, *(Text(" ".join(printable(text).split())) for text in texts))
    return table


def _style(column: Column, job: JobLine) -> str:
    return COLOURS.get(job.state, "red") if column.name == "state" else ""


def _fitting(widths: Mapping[str, int], width: int) -> list[Column]:
    """The columns that fit beside the title, in their order on the screen."""
    left = width - (2 * LEAST_NOW if width >= WIDE else LEAST_TITLE)
    kept: set[str] = set()
    for column in sorted(COLUMNS, key=lambda column: column.worth):
        left -= widths[column.name] + GAP
        if column.worth and left < 0:
            break
        kept.add(column.name)
    return [column for column in COLUMNS if column.name in kept]
