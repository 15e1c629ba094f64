"""The most that jobs can cost before they are stored, as `redraft submit --dry-run` prints it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal

from tasks.budgets import MostCost, most_cost, most_together
from tasks.submit import Submission
from tasks.types import BatchBudget, Egress
from workers.cli import output


def show(
    submission: Submission, egress: Sequence[Egress], pool: BatchBudget | None = None, *, as_json: bool = False
) -> None:
    """One line a job and one for all, in the order of the jobs; `egress` is what would be stored with each."""
    costs = [most_cost(spec.budget, one) for spec, one in zip(submission.specs, egress, strict=True)]
    whole = most_together(costs, pool)
    if as_json:
        for origin, one, cost in zip(submission.origins, egress, costs, strict=True):
            output.emit_line({"job": origin, "egress": str(one), **dataclasses.asdict(cost)})
        output.emit_line({"job": None, "egress": None, **dataclasses.asdict(whole)})
        return
    lines = [
        (origin, str(one), *_amounts(cost)) for origin, one, cost in zip(submission.origins, egress, costs, strict=True)
    ]
    if len(lines) > 1:
        lines.append(("all", "", *_amounts(whole)))
    numbers = ("usd", "tokens", "hours", "iter", "gpu-seconds")
    output.table(("job", "egress", *numbers), lines, right=numbers)
    shared = "" if pool is None else "; together they have one budget"
    output.note(f"the most that they can cost; nothing is stored{shared}")


def _amounts(cost: MostCost) -> tuple[str, ...]:
    seconds = "-" if cost.gpu_seconds is None else f"{cost.gpu_seconds:,.0f}"
    usd = cost.usd.quantize(Decimal("0.01")) if cost.usd == round(cost.usd, 2) else cost.usd
    return f"${usd:,f}", f"{cost.tokens:,}", f"{cost.hours:g}", str(cost.iterations), seconds
