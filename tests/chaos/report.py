"""The tables of a chaos run, out of its rounds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.chaos.contestant import Charge
from tests.chaos.rounds import Round

# The round in which nothing strikes.
CONTROL = "nothing"
KINDS = ("lost", "doubled", "diverged")
# Of n trials without one event: the rate is below 3/n, with 95 % confidence (Hanley and Lippman-Hand, 1983).
RULE_OF_THREE = 3.0


def table(ours: Sequence[Round], beside: Sequence[Round] = ()) -> str:
    """A line a fault: what came of Redraft's jobs, and of plain Celery's where it took part."""
    head = ("fault", "runs", "jobs", "crashes", "turns cut", *KINDS, "worst s")
    lines = [head + (("celery: jobs", *KINDS, "worst s") if beside else ())]
    names = list(dict.fromkeys(one.fault for one in ours))
    for name in names:
        mine = [one for one in ours if one.fault == name]
        theirs = [one for one in beside if one.fault == name]
        lines.append((name, *_ours(mine), *(_beside(theirs) if beside else ())))
    lines.append(("all", *_ours(ours), *(_beside(beside) if beside else ())))
    return "\n".join(_aligned(lines))


def read(row: Mapping[str, Any]) -> Round:
    """A round out of its line in a results file."""
    return Round(**{**row, "charges": tuple(Charge(**charge) for charge in row["charges"])})


def verdict(rounds: Sequence[Round]) -> str:
    """What a run without a loss rules out, or that there was one. Rounds of the control count where something was
    found, and not as trials."""
    struck = [one for one in rounds if one.fault != CONTROL]
    jobs = sum(one.jobs for one in struck)
    lines = []
    for kind in KINDS:
        hit = _count(rounds, kind)
        if hit or not jobs:
            lines.append(f"{kind}: {hit} of {jobs} jobs")
        else:
            lines.append(
                f"{kind}: 0 of {jobs} jobs under {len(struck)} faults rule out, at 95 %, a rate above "
                f"{RULE_OF_THREE / jobs:.2%} of such jobs and {RULE_OF_THREE / len(struck):.1%} of such faults"
            )
    return "\n".join(lines)


def charges(rounds: Sequence[Round]) -> str:
    """Everything that was found, a line each."""
    return "\n".join(f"{one.fault}: {c.kind}: job {c.job}: {c.what}" for one in rounds for c in one.charges)


def _ours(rounds: Sequence[Round]) -> tuple[str, ...]:
    counts = [sum(one.jobs for one in rounds), sum(one.acts for one in rounds), sum(one.cut_turns for one in rounds)]
    return (str(len(rounds)), *map(str, counts), *_found(rounds))


def _beside(rounds: Sequence[Round]) -> tuple[str, ...]:
    return (str(sum(one.jobs for one in rounds)), *_found(rounds)) if rounds else ("-",) * (len(KINDS) + 2)


def _found(rounds: Sequence[Round]) -> tuple[str, ...]:
    seconds = [one.seconds for one in rounds if one.seconds is not None]
    return (*(str(_count(rounds, kind)) for kind in KINDS), f"{max(seconds):.1f}" if seconds else "-")


def _count(rounds: Sequence[Round], kind: str) -> int:
    """Jobs of which something is said of that kind."""
    return len({charge.job for one in rounds for charge in one.charges if charge.kind == kind})


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(w) if place else cell.ljust(w) for place, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
