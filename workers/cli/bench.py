"""`redraft bench record | loop | judges`: what strategies are worth on sets of tasks, and models as judges."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.errors import InvalidInput
from tasks.settings import Settings, load_settings
from workers.bench.tasks import Mode
from workers.cli.bench_judges import judges
from workers.cli.output import Json, note

if TYPE_CHECKING:
    from tasks.ports import ChatModel, Checks, Strategy
    from tasks.sampling import Sampling
    from workers.bench.record import Recorder

app = typer.Typer(help="Compare strategies on sets of tasks.", rich_markup_mode=None)
app.command()(judges)
SetName = Annotated[str, typer.Argument(metavar="SET", help="humaneval.")]
# Between two lines that say how far it is.
NOTE_SECONDS = 30.0


@app.callback()
def bench() -> None:
    """Compare strategies on sets of tasks."""


@app.command()
def record(
    tasks: SetName,
    output: Annotated[Path, typer.Option("-o", "--output", help="The pool: a plain .jsonl file, appended to.")],
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="An OpenAI-compatible server. Without one, only checks are run.")
    ] = "",
    model: Annotated[str, typer.Option("--model", help="The model's name at the endpoint.")] = "",
    drafts: Annotated[int, typer.Option("--drafts", min=1, help="Drafts of a task beside the greedy one.")] = 16,
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Requests at once.")] = 16,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=16, help="Of one draft.")] = 512,
    checks: Annotated[bool, typer.Option(help="Run the checks when the texts are there.")] = True,
    pack: Annotated[Path | None, typer.Option("--pack", help="Then write it here, compressed (.jsonl.xz).")] = None,
) -> None:
    """Record drafts of every task of a set, and what the checks say of them.

    Goes on where it was interrupted, however it was.
    """
    from workers.bench.pool import pack as write_packed
    from workers.bench.record import check_drafts
    from workers.bench.sets import load_set

    if output.suffix != ".jsonl":
        raise InvalidInput("--output", str(output), "the name of a plain file, such as pool.jsonl; --pack compresses")
    settings, task_set = load_settings(), load_set(tasks)
    if endpoint:
        recorder = _recorder(settings, endpoint, model, max_tokens)
        recorder.record(output, task_set, drafts=drafts, parallel=parallel, progress=_Progress("drafts"))
    if checks:
        check_drafts(
            output, task_set, _checks(settings), parallel=os.cpu_count() or 1, progress=_Progress("drafts checked")
        )
    if pack is not None:
        write_packed(output, pack)


@app.command()
def loop(
    tasks: SetName,
    strategies: Annotated[list[str], typer.Argument(metavar="STRATEGY...", help="The strategies to compare.")],
    pool: Annotated[Path, typer.Option("--pool", help="The recorded pool of the set.")],
    mode: Annotated[
        Mode, typer.Option("--mode", help="checker: the scoring tests are part of the job. blind: they are not.")
    ] = Mode.BLIND,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Completion tokens of a run.")] = 1500,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each task, each with draws of its own.")] = 100,
    width: Annotated[int, typer.Option("--width", min=1, help="Candidates drafted at once.")] = 2,
    greedy: Annotated[bool, typer.Option("--greedy/--no-greedy", help="Begin each run with the greedy draft.")] = True,
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="A server of the pool's model, for what is no draft.")
    ] = "",
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Runs at once, where an engine is asked.")] = 16,
    page: Annotated[Path | None, typer.Option("--page", help="Write a page of HTML with plots here, too.")] = None,
    as_json: Json = False,
) -> None:
    """Compare strategies at equal completion tokens on recorded drafts.

    Strategies that only choose among drafts need no engine. What the others ask an engine for is kept beside the pool,
    so that the same command is free the next time.
    """
    from workers.bench.comparison import open_pool
    from workers.bench.replay import Terms
    from workers.bench.sets import load_set
    from workers.bench.statistics import summarize
    from workers.cli import bench_table

    settings, chosen = load_settings(), [_strategy(name) for name in dict.fromkeys(strategies)]
    engine = _model(settings, endpoint, "")[0] if endpoint else None
    terms = Terms(mode=mode, tokens=tokens, width=width, greedy_first=greedy)
    comparison = open_pool(pool, load_set(tasks), terms, checks=_checks(settings), engine=engine)
    progress = _Progress("runs")
    runs = comparison.run(
        chosen,
        seeds=seeds,
        parallel=parallel if engine else 1,
        progress=lambda done, total: progress(done, total, 0),
    )
    summaries = summarize(runs, bench_table.REFERENCES)
    bench_table.write(comparison, terms, seeds, summaries, runs, page=page, as_json=as_json)


class _Progress:
    """Says from time to time how far something is."""

    def __init__(self, what: str) -> None:
        self._what, self._begun, self._last = what, time.monotonic(), 0.0

    def __call__(self, done: int, total: int, tokens: int) -> None:
        now = time.monotonic()
        if now - self._last < NOTE_SECONDS and done < total:
            return
        self._last = now
        rate = f", {tokens / (now - self._begun):.0f} tok/s" if tokens else ""
        note(f"{done:,} of {total:,} {self._what}{rate}")


def _strategy(name: str) -> Strategy:
    from workers.strategies import load_strategies

    known = load_strategies().working
    if name not in known:
        raise InvalidInput("STRATEGY", name, f"one of {', '.join(sorted(known))}")
    return known[name]


def _recorder(settings: Settings, endpoint: str, model: str, max_tokens: int) -> Recorder:
    import dataclasses

    from workers.bench.record import Recorder
    from workers.engine.cpu import read_cpu

    client, sampling, engine = _model(settings, endpoint, model)
    sampling = dataclasses.replace(sampling, answer_tokens=max_tokens)
    return Recorder(model=client, sampling=sampling, engine=engine, processor=read_cpu().words)


def _model(settings: Settings, endpoint: str, model: str) -> tuple[ChatModel, Sampling, str]:
    """The client of an endpoint's model, its sampling, and the engine in words."""
    from workers.engine.select import attach
    from workers.models import chat_model, sampling_of

    settings = settings.model_copy(update={"endpoint": endpoint, "endpoint_model": model, "engine": ""})
    host = attach(settings)
    host.start()
    return chat_model(settings, host), sampling_of(host.profile), host.describe()


def _checks(settings: Settings) -> Checks:
    from tasks.validators.checks import RegisteredChecks
    from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

    return RegisteredChecks(sandbox=BubblewrapSandbox(default_runtime_folder(settings.cache)))
