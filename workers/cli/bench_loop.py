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
        str, typer.Option("--live", metavar="RUN", help="Real jobs on the stack instead; the same name goes on.")
    ] = "",
    mode: Annotated[
        Mode, typer.Option("--mode", help="checker: the scoring checks are part of the job. blind: they are not.")
    ] = Mode.BLIND,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Completion tokens of a run.")] = 1500,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, help="Runs of each task, each with draws of its own. Default: 100, live 1."),
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
    so that the same command is free the next time.
    """
    from workers.bench.sets import load_set
    from workers.bench.statistics import summarize
    from workers.bench.variants import load_variant
    from workers.cli import bench_table

    if (pool is None) == (not live):
        raise InvalidInput("--pool", str(pool or ""), "either --pool FILE, or --live RUN")
    if memory and pool is not None:
        raise InvalidInput("--memory", "", "beside --live only: drafts that are recorded have recalled nothing")
    task_set, names = load_set(tasks), list(dict.fromkeys(strategies))
    chosen = [load_variant(name) for name in names]
    if pool is None:
        facts, runs = _live(task_set, chosen, live, mode, tokens, seeds or 1, limit, memory)
    else:
        from workers.bench.deck import Terms

        terms = Terms(mode=mode, tokens=tokens, width=width, greedy_first=greedy)
        facts, runs = _replay(task_set, chosen, pool, terms, seeds or 100, endpoint, parallel, limit)
    summaries = summarize(runs, (*bench_table.REFERENCES, *(names if memory else ())))
    title = bench_table.title_of(task_set.name, mode)
    bench_table.write(title, facts, summaries, runs, page=page, as_json=as_json)


def _replay(
    tasks: TaskSet,
    strategies: Sequence[Strategy],
    pool: Path,
    terms: Terms,
    seeds: int,
    endpoint: str,
    parallel: int,
    limit: int | None,
) -> tuple[dict[str, str], Sequence[Run]]:
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
    strategies: Sequence[Strategy],
    name: str,
    mode: Mode,
    tokens: int,
    seeds: int,
    limit: int | None,
    memory: bool,
) -> tuple[dict[str, str], Sequence[Run]]:
    from workers.bench.live import Live
    from workers.bench.variants import Variant
    from workers.cli.bench_table import live_facts
    from workers.cli.client import connect

    varied = [strategy.name for strategy in strategies if isinstance(strategy, Variant)]
    if varied:
        raise InvalidInput("STRATEGY", varied[0], "beside --pool only: a worker knows strategies by name alone")
    names = [strategy.name for strategy in strategies]
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
