"""`redraft bench record | loop | judges | hints`: what strategies are worth on sets of tasks, models as judges, and
hints."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.errors import InvalidInput
from tasks.settings import Settings, load_settings
from workers.cli.bench_hints import hints
from workers.cli.bench_judges import judges
from workers.cli.bench_loop import loop
from workers.cli.bench_parts import Progress, SetName, checks_of, model_of
from workers.cli.output import log_to_stderr

if TYPE_CHECKING:
    from workers.bench.record import Recorder

app = typer.Typer(help="Compare strategies on sets of tasks.", rich_markup_mode=None)
app.command()(hints)
app.command()(judges)
app.command()(loop)


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
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, help="Only so many tasks, drawn with a fixed seed; later runs may add more."),
    ] = None,
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
    log_to_stderr()
    if endpoint:
        recorder = _recorder(settings, endpoint, model, max_tokens)
        recorder.record(output, task_set, drafts=drafts, parallel=parallel, progress=Progress("drafts"), sample=sample)
    if checks:
        check_drafts(
            output, task_set, checks_of(settings), parallel=os.cpu_count() or 1, progress=Progress("drafts checked")
        )
    if pack is not None:
        write_packed(output, pack)


def _recorder(settings: Settings, endpoint: str, model: str, max_tokens: int) -> Recorder:
    from workers.bench.record import Recorder
    from workers.engine.cpu import read_cpu

    client, sampling, engine = model_of(settings, endpoint, model)
    sampling = dataclasses.replace(sampling, answer_tokens=max_tokens)
    return Recorder(model=client, sampling=sampling, engine=engine, processor=read_cpu().words)
