"""`redraft bench loop`: strategies at equal completion tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.errors import InvalidInput
from tasks.settings import load_settings
from workers.bench.tasks import Mode
from workers.cli.bench_parts import Progress, SetName, checks_of, model_of
from workers.cli.output import Json

if TYPE_CHECKING:
    from tasks.ports import Strategy
    from workers.bench.deck import Terms
    from workers.bench.runs import Run
    from workers.bench.tasks import TaskSet

    # What they rest on, in words, and what came of each.
    Compared = tuple[dict[str, str], Sequence[Run]]

# Behind the name of a strategy that is replayed beside its live jobs.
REPLAYED = " replayed"


def loop(
    tasks: SetName,
    strategies: Annotated[
        list[str],
        typer.Argument(
            metavar="STRATEGY...", help="The strategies to compare; ladder:agree=2,lead=1 with other numbers."
        ),
    ],
    pool: Annotated[Path | None, typer.Option("--pool", help="A recorded pool of the set, to replay.")] = None,
    live: Annotated[
        str,
        typer.Option(
            "--live",
            metavar="RUN",
            help="Real jobs on the stack; with --pool beside their replay. The same name goes on.",
        ),
    ] = "",
    mode: Annotated[
        Mode, typer.Option("--mode", help="checker: the scoring checks are part of the job. blind: they are not.")
    ] = Mode.BLIND,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Completion tokens of a run.")] = 1500,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, help="Runs of each task, each with draws of its own. Default: 100, live 1."),
    ] = None,
    replays: Annotated[
        int | None, typer.Option("--replays", min=1, help="Beside --live: replays of each task. Default: 100.")
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Live: each strategy without lessons, and as NAME+memory with them.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only so many tasks, the first.")] = None,
    width: Annotated[int, typer.Option("--width", min=1, help="Of a replay: candidates drafted at once.")] = 2,
    greedy: Annotated[
        bool, typer.Option("--greedy/--no-greedy", help="Of a replay: begin each run with the greedy draft.")
    ] = True,
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="Of a replay: a server of the pool's model, for what is no draft.")
    ] = "",
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Runs at once, where an engine is asked.")] = 16,
    page: Annotated[Path | None, typer.Option("--page", help="Write a page of HTML with plots here, too.")] = None,
    as_json: Json = False,
) -> None:
    """Compare strategies at equal completion tokens, on recorded drafts or on real jobs.

    Strategies that only choose among drafts need no engine. What the others ask an engine for is kept beside the pool,
    so that the same command is free the next time. With --live and --pool both are shown, with the difference.
    """
    from workers.bench.live import WITH_MEMORY
    from workers.bench.sets import load_set
    from workers.bench.statistics import summarize
    from workers.bench.variants import load_variant
    from workers.cli import bench_table

    _refuse_together(pool, live, memory, replays)
    task_set = load_set(tasks)
    chosen = [load_variant(name) for name in dict.fromkeys(strategies)]
    if live:
        _refuse_variants(chosen)
    found = []
    if pool is not None:
        from workers.bench.deck import Terms

        terms = Terms(mode=mode, tokens=tokens, width=width, greedy_first=greedy)
        runs_each = replays if live else seeds
        found.append(_replay(task_set, chosen, pool, terms, runs_each or 100, endpoint, parallel, limit))
    if live:
        names = [strategy.name for strategy in chosen]
        found.append(_live(task_set, names, live, mode, tokens, seeds or 1, limit, memory))
    if len(found) == 2:
        facts, runs = _beside(*found)
        twin, twins = "its replay", {name: name + REPLAYED for name in names}
    else:
        [(facts, runs)] = found
        twin, twins = ("without memory", {name + WITH_MEMORY: name for name in names}) if memory else ("", {})
    summaries = summarize(runs, bench_table.REFERENCES, twins=twins)
    title = bench_table.title_of(task_set.name, mode)
    bench_table.write(title, facts, summaries, runs, twin=twin, page=page, as_json=as_json)


def _refuse_together(pool: Path | None, live: str, memory: bool, replays: int | None) -> None:
    """Raises `InvalidInput` where options need others, or exclude them."""
    if pool is None and not live:
        raise InvalidInput("--pool", "", "--pool FILE, --live RUN, or both")
    if replays is not None and (pool is None or not live):
        raise InvalidInput("--replays", replays, "beside --live and --pool alone: otherwise --seeds counts the runs")
    if memory and (pool is not None or not live):
        raise InvalidInput("--memory", "", "beside --live alone: drafts that are recorded have recalled nothing")


def _refuse_variants(strategies: Sequence[Strategy]) -> None:
    from workers.bench.variants import Variant

    for strategy in strategies:
        if isinstance(strategy, Variant):
            raise InvalidInput("STRATEGY", strategy.name, "beside --pool only: a worker knows strategies by name alone")


def _beside(replay: Compared, live: Compared) -> Compared:
    """Both of one mode, on the tasks that both have: the replayed strategies under names of their own."""
    (replay_facts, replays), (live_facts, jobs) = replay, live
    shared = {run.task for run in replays} & {run.task for run in jobs}
    replayed = [run.model_copy(update={"strategy": run.strategy + REPLAYED}) for run in replays]
    facts = {f"replay: {name}": fact for name, fact in replay_facts.items() if name not in ("mode", "tasks")}
    runs = [run for run in (*jobs, *replayed) if run.task in shared]
    return {**live_facts, "tasks": f"{len(shared)}, live and replayed", **facts}, runs


def _replay(
    tasks: TaskSet,
    strategies: Sequence[Strategy],
    pool: Path,
    terms: Terms,
    seeds: int,
    endpoint: str,
    parallel: int,
    limit: int | None,
) -> Compared:
    from workers.bench.comparison import open_pool
    from workers.cli.bench_table import replay_facts

    settings, progress = load_settings(), Progress("runs")
    engine = model_of(settings, endpoint, "")[0] if endpoint else None
    comparison = open_pool(pool, tasks, terms, checks=checks_of(settings), engine=engine, limit=limit)
    runs = comparison.run(
        strategies,
        seeds=seeds,
        parallel=parallel if engine else 1,
        progress=progress,
    )
    return replay_facts(comparison, terms, seeds), runs


def _live(
    tasks: TaskSet,
    names: Sequence[str],
    name: str,
    mode: Mode,
    tokens: int,
    seeds: int,
    limit: int | None,
    memory: bool,
) -> Compared:
    from workers.bench.live import Live
    from workers.cli.bench_table import live_facts
    from workers.cli.client import connect

    runs, progress = [], Progress("jobs measured")
    tasks = dataclasses.replace(tasks, tasks=tasks.tasks[:limit])
    with connect(name="redraft bench") as client:
        models = sorted({model for worker in client.workers() for model in worker.models})
        bench = Live(
            client=client, checks=checks_of(load_settings()), name=name, mode=mode, tokens=tokens, memory=memory
        )
        for run in bench.run(tasks, names, seeds=seeds):
            runs.append(run)
            progress(len(runs), len(tasks.tasks) * len(names) * (2 if memory else 1) * seeds)
    return live_facts(name, mode, len(tasks.tasks), tokens, seeds, models), runs
