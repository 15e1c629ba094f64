"""`redraft bench judges`: what a model's word is worth where it judges answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tasks.judge_rates import ModelRates, Tally, finding, percent
from tasks.settings import Settings, load_settings
from workers.cli import output
from workers.cli.bench_parts import at_once, started

if TYPE_CHECKING:
    from workers.bench.votes import Measurement
    from workers.engine.host import ModelHost

# Between two lines that say how far it is.
NOTE_SECONDS = 30.0


def judges(
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="An OpenAI-compatible server. Without one, an engine is started.")
    ] = "",
    model: Annotated[
        str, typer.Option("--model", help="The model's name at the endpoint, or of a model or profile to start.")
    ] = "",
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="Right answers, each with a wrong one.")] = 100,
    kind: Annotated[list[str], typer.Option("--kind", help="Of answers: code, numbers.")] = ["code", "numbers"],  # noqa: B006
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the pairs and the votes.")] = 0,
    parallel: Annotated[int, typer.Option("--parallel", min=0, help="Answers at once. 0: as the engine batches.")] = 0,
    minutes: Annotated[float, typer.Option("--minutes", min=0, help="Stop after these; 0: when all is done.")] = 0,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Of votes. Default: in the home, by the model's name.")
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option("--bound", help="The largest share of wrong answers to accept. Default: the setting judge_bound."),
    ] = None,
    rates_file: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Keep the rates here, for the setting judge_rates."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Measure a model as a judge: how many right answers, and answers with a planted error, its votes pass.

    Goes on where it was interrupted, however it was.
    """
    from tasks.errors import InvalidInput
    from workers.judge_rates import write_rates

    settings = load_settings()
    bound = settings.judge_bound if bound is None else bound
    if not 0 < bound < 1:
        raise InvalidInput("--bound", bound, "a share between 0 and 1, such as 0.05")
    output.log_to_stderr()
    ends = time.monotonic() + 60 * minutes if minutes else None
    with started(settings, endpoint, model) as host:
        path = file or settings.home / "bench" / f"judges-{Path(host.model).name}.jsonl"
        found = _measure(settings, host, path, pairs=pairs, kinds=kind, seed=seed, parallel=parallel, ends=ends)
    rates = found.rates()
    if rates is not None and rates_file is not None:
        write_rates(rates_file, found.header.model, rates)
    if as_json:
        output.emit(_document(found, path, rates, bound))
    else:
        _show(found, path, rates, bound)


def _measure(
    settings: Settings,
    host: ModelHost,
    path: Path,
    *,
    pairs: int,
    kinds: list[str],
    seed: int,
    parallel: int,
    ends: float | None,
) -> Measurement:
    from tasks.validators.checks import RegisteredChecks
    from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
    from workers.bench.judges import JudgeBench, plant
    from workers.bench.votes import begin, new_header
    from workers.models import chat_model, sampling_of

    found = begin(path, new_header(host.model, host.describe(), seed))
    checks = RegisteredChecks(sandbox=BubblewrapSandbox(default_runtime_folder(settings.cache)))
    found = plant(path, found, pairs=pairs, kinds=kinds, checks=checks, progress=_Progress("pairs"))
    bench = JudgeBench(path=path, model=chat_model(settings, host), sampling=sampling_of(host.profile))
    return bench.cast(
        found,
        pairs=pairs,
        parallel=parallel or at_once(host),
        seconds=None if ends is None else max(0.0, ends - time.monotonic()),
        progress=_Progress("votes"),
    )


class _Progress:
    """Says from time to time how far something is."""

    def __init__(self, what: str) -> None:
        self._what, self._last = what, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= NOTE_SECONDS or done == total:
            self._last = now
            output.note(f"{done:,} of {total:,} {self._what}")


def _document(found: Measurement, path: Path, rates: ModelRates | None, bound: float) -> dict[str, Any]:
    return {
        "model": found.header.model,
        "file": str(path),
        "pairs": sum(rates.cases.values()) if rates else 0,
        "bound": bound,
        "votes": rates.votes_within(bound) if rates else None,
        "finding": finding(rates, bound) if rates else None,
        "rates": rates.model_dump() if rates else None,
    }


def _show(found: Measurement, path: Path, rates: ModelRates | None, bound: float) -> None:
    missing = sum(len(found.missing(pair)) for pair in found.pairs)
    votes = f"{len(found.votes):,} of {len(found.votes) + missing:,} votes on {len(found.pairs)} pairs"
    output.note(f"{found.header.model}: {votes} are in {path}")
    if rates is None:
        output.note("no pair has all its votes yet; run it again")
        return
    prompts = ("judge prompt", "right passed", "wrong passed", "invalid", "tokens out")
    rows = [
        (name, _share(v.right), _share(v.wrong), str(v.invalid), output.count(v.completion_tokens))
        for name, v in rates.judge_prompts.items()
    ]
    output.table(prompts, rows, right=prompts[1:])
    columns = ("votes in a row", "right accepted", "wrong accepted")
    output.table(columns, [(str(p.votes), _share(p.right), _share(p.wrong)) for p in rates.panel], right=columns)
    output.line(f"{found.header.model} on {rates.kinds}: {finding(rates, bound)}")


def _share(tally: Tally) -> str:
    low, high = tally.interval
    return f"{tally.passed} of {tally.cases}, {percent(tally.share)} ({100 * low:.0f}-{100 * high:.0f})"
