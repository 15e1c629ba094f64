"""The most that jobs can cost before they are stored, as `redraft submit --dry-run` prints it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from decimal import Decimal

from tasks.budgets import MostCost, most_cost, most_together
from tasks.submit import Submission
from tasks.sweeps import Sweep
from tasks.types import BatchBudget, Egress
from workers.cli import output


def show(
    submission: Submission,
    egress: Sequence[Egress],
    pool: BatchBudget | None = None,
    sweep: Sweep | None = None,
    *,
    as_json: bool = False,
) -> None:
    """One line a job, or one a point of a `sweep`, and one for all; `egress` is what would be stored with each job."""
    costs = [most_cost(spec.budget, one) for spec, one in zip(submission.specs, egress, strict=True)]
    whole = most_together(costs, pool)
    if as_json:
        for origin, one, cost in zip(submission.origins, egress, costs, strict=True):
            output.emit_line({"job": origin, "egress": str(one), **dataclasses.asdict(cost)})
        output.emit_line({"job": None, "egress": None, **dataclasses.asdict(whole)})
        return
    origins = submission.origins
    if sweep is None:
        lines = [(origin, str(one), *_amounts(cost)) for origin, one, cost in zip(origins, egress, costs, strict=True)]
    else:
        lines = [*_points(sweep, egress, costs)]
    if len(lines) > 1:
        lines.append(("all", "", *_amounts(whole)))
    numbers = ("usd", "tokens", "hours", "iter", "gpu-seconds")
    output.table(("job", "egress", *numbers), lines, right=numbers)
    shared = "" if pool is None else "; together they have one budget"
    if sweep is not None:
        output.note(sweep_line(sweep, len(costs)))
    output.note(f"the most that they can cost; nothing is stored{shared}")


def sweep_line(sweep: Sweep, jobs: int) -> str:
    """How many jobs a sweep is, and how its points are compared."""
    points, seeds = len(sweep.points), f"{sweep.seeds} seeds" if sweep.seeds > 1 else "one seed"
    each = jobs // (points * sweep.seeds)
    problems = f" of {each} problems" if each > 1 else ""
    place = "point" if points == 1 else "points"
    return (
        f"sweep {sweep.name}: {jobs} jobs, {points} {place} with {seeds}{problems}; "
        f"`redraft compare --sweep {sweep.name}` compares them"
    )


def _points(sweep: Sweep, egress: Sequence[Egress], costs: Sequence[MostCost]) -> Iterator[tuple[str, ...]]:
    """A line for each point, whose jobs follow each other."""
    each = len(costs) // len(sweep.points)
    for number, point in enumerate(sweep.points):
        here = slice(number * each, (number + 1) * each)
        name = f"{each} at {point.words()}" if point.values else f"{each} jobs"
        yield name, ", ".join(dict.fromkeys(map(str, egress[here]))), *_amounts(most_together(costs[here]))


def _amounts(cost: MostCost) -> tuple[str, ...]:
    seconds = "-" if cost.gpu_seconds is None else f"{cost.gpu_seconds:,.0f}"
    usd = cost.usd.quantize(Decimal("0.01")) if cost.usd == round(cost.usd, 2) else cost.usd
    return f"${usd:,f}", f"{cost.tokens:,}", f"{cost.hours:g}", str(cost.iterations), seconds
