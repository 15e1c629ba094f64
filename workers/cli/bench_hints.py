"""`redraft bench hints`: whether hints help a model, and whether wrong ones harm it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.settings import load_settings
from workers.cli import output
from workers.cli.bench_parts import Progress, SetName, at_once, checks_of, started
from workers.cli.bench_table import difference, percent
from workers.cli.output import Json

if TYPE_CHECKING:
    from workers.bench.statistics import Summary
    from workers.bench.tasks import Task

COLUMNS = ("hint", "drafts", "right %", "- none", "tokens", "loops %")


def hints(
    tasks: SetName,
    hints_file: Annotated[
        Path, typer.Option("--hints", metavar="FILE", help="JSON lines: task, right, and maybe useless and wrong.")
    ],
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="An OpenAI-compatible server. Without one, an engine is started.")
    ] = "",
    kept: Annotated[Path, typer.Option("--file", metavar="FILE", help="Where answers and verdicts are kept.")] = Path(
        "bench-hints.jsonl"
    ),
    model: Annotated[
        str, typer.Option("--model", help="The model's name at the endpoint, or of a model or profile to start.")
    ] = "",
    drafts: Annotated[int, typer.Option("--drafts", min=1, help="Drafts of each task, with each kind of hint.")] = 8,
    stuck: Annotated[
        int, typer.Option("--stuck", min=0, help="Only tasks of which so many drafts without a hint are all wrong.")
    ] = 0,
    parallel: Annotated[int, typer.Option("--parallel", min=0, help="Requests at once. 0: as the engine batches.")] = 0,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=16, help="Of one draft.")] = 512,
    as_json: Json = False,
) -> None:
    """Draft the tasks of a set with no hint, a right one, a useless one and a wrong one, and compare.

    Goes on where it was interrupted, however it was.
    """
    from tasks.errors import InvalidInput
    from workers.bench.asked import Kept, KeptChecks, KeptModel
    from workers.bench.hints import HintBench, read_hints
    from workers.bench.sets import load_set
    from workers.bench.statistics import summarize
    from workers.models import chat_model, sampling_of

    task_set = load_set(tasks)
    given = read_hints(hints_file, task_set)
    settings = load_settings()
    output.log_to_stderr()
    answers = Kept(kept)
    with started(settings, endpoint, model) as host:
        client = chat_model(settings, host)
        bench = HintBench(
            model=KeptModel(answers, client, name=client.name, context_tokens=client.context_tokens),
            checks=KeptChecks(kept=answers, checks=checks_of(settings)),
            sampling=dataclasses.replace(sampling_of(host.profile), answer_tokens=max_tokens),
        )
        many, engine = parallel or at_once(host), host.describe()
        chosen: Sequence[Task] = [task for task in task_set.tasks if task.name in given]
        if stuck:
            chosen = bench.stuck(chosen, drafts=stuck, parallel=many, progress=Progress("drafts to choose by"))
        if not chosen:
            raise InvalidInput("--stuck", stuck, "fewer drafts: each task has a right one among these")
        runs = bench.run(chosen, given, drafts=drafts, parallel=many, progress=Progress("drafts"))
    summaries = summarize(runs, ("none",))
    facts = {
        "set": f"{len(chosen)} tasks of {task_set.name}" + (f" with {stuck} wrong drafts each" if stuck else ""),
        "model": f"{client.name}, {engine}",
        "drafts": f"{drafts} of each task with each kind of hint, the same seeds in each",
    }
    if as_json:
        output.emit({"facts": facts, "hints": [dataclasses.asdict(summary) for summary in summaries]})
        return
    for name, value in facts.items():
        output.note(f"{name}: {value}")
    output.table(COLUMNS, [_row(summary) for summary in summaries], right=COLUMNS[1:])


def _row(summary: Summary) -> tuple[str, ...]:
    return (
        summary.strategy,
        str(summary.runs),
        percent(summary.solved),
        difference(summary.differences.get("none")),
        f"{summary.tokens:.0f}",
        f"{100 * summary.looped:.1f}",
    )
