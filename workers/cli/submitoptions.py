"""The options of `redraft submit`, and how they become the flags of its jobs. Knows no job file and no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import completion

if TYPE_CHECKING:
    from tasks.jobflags import Flags

Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Markdown or .jsonl files, or - for standard input.")
]
Check = Annotated[
    list[str],
    typer.Option("--check", metavar="KIND:VALUE", help="Add a check; paths are relative to the job file."),
]
HiddenCheck = Annotated[
    list[str], typer.Option("--hidden-check", metavar="KIND:VALUE", help="Add a check the model never sees.")
]
Budget = Annotated[
    list[str],
    typer.Option("--budget", metavar="usd=2,hours=4,iterations=30,tokens=N,…", help="What the job may spend."),
]
PoolBudget = Annotated[
    list[str],
    typer.Option(
        "--pool-budget",
        metavar="tokens=N,usd=20,hours=8",
        help="Make the jobs one batch: what they may spend together. The likeliest to be solved go on first.",
    ),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="correct, ladder, evolve, climb, aggregate, self_consistency, best_of_n or single.",
        autocompletion=completion.strategies,
    ),
]
Lane = Annotated[str | None, typer.Option(metavar="gpu|fast", help="Which model drafts.")]
Egress = Annotated[str | None, typer.Option(metavar="never|hint|full", help="What may be sent to the cloud.")]
Priority = Annotated[int | None, typer.Option(help="From -100 to 100; higher runs first.")]
Tag = Annotated[list[str], typer.Option("--tag", metavar="T", help="Add a tag.", autocompletion=completion.tags)]
Model = Annotated[
    str | None, typer.Option(metavar="NAME", help="The model that must work on it; the job waits for a worker.")
]
Title = Annotated[str | None, typer.Option(help="Default: the first heading, or the first line.")]
Seed = Annotated[int | None, typer.Option(help="The seed of all sampling.")]
Key = Annotated[str | None, typer.Option(metavar="K", help="Submit once: a known key returns its job.")]
NoMemory = Annotated[bool, typer.Option("--no-memory", help="Use no lessons of earlier jobs, and leave none.")]
Cut = Annotated[bool, typer.Option("--cut", help="Show the model a part of a problem that is longer than its context.")]
Ask = Annotated[bool, typer.Option("--ask", help="Let a job that is stuck ask you a question: `redraft answer`.")]
AskTimeout = Annotated[
    float | None,
    typer.Option("--ask-timeout", metavar="HOURS", help="With --ask: go on without an answer after these. [24]"),
]
Temperature = Annotated[
    float | None, typer.Option(metavar="T", help="Of its answers, 0 to 2. Default: the model's own.")
]
Start = Annotated[
    str | None, typer.Option(metavar="FILE", help="An answer of yours that the job begins with, and improves on.")
]
Sweep = Annotated[
    list[str],
    typer.Option(
        "--sweep",
        metavar="FIELD=VALUE,VALUE…",
        help="Submit each job once for each combination of these values of strategy, temperature, model, lane or "
        "memory; one --sweep for each field.",
    ),
]
Seeds = Annotated[
    int | None, typer.Option(metavar="N", help="Submit each job N times, with seeds that count up from its own.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check the jobs, print the most that they can cost, and store nothing.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the jobs are finished; exit as `wait` does.")]
Timeout = Annotated[float | None, typer.Option(min=0, help="With --wait: wait at most this many seconds.")]


def read_flags(
    check: Sequence[str], hidden_check: Sequence[str], budget: Sequence[str], *, start: str | None, **single: Any
) -> Flags:
    """The flags of the jobs; `single` are those with one value. Raises `InvalidInput` for all that can't be read."""
    from tasks.faults import Faults
    from tasks.jobflags import Flags, parse_budget_flag, parse_check_flag
    from tasks.jobfolder import Typed

    faults = Faults()
    checks, amounts = [], {}
    for flag, texts in (("--check", check), ("--hidden-check", hidden_check)):
        for text in texts:
            with faults.gather():
                checks.append(parse_check_flag(text, held_out=flag == "--hidden-check", flag=flag))
    with faults.gather():
        amounts = dict(parse_budget_flag(budget))
    faults.refuse()
    typed = None if start is None else Typed(start)
    return Flags(checks=tuple(checks), budget=amounts, start=typed, **single)
