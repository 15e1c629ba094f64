"""How `redraft bench loop` shows a comparison: a table, JSON, a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from workers.bench.comparison import Comparison
from workers.bench.deck import Terms
from workers.bench.runs import Run
from workers.bench.statistics import Estimate, Summary
from workers.bench.tasks import Mode
from workers.cli import output
from workers.cli.bench_page import comparison_page

# Every strategy is compared with these, where they take part.
REFERENCES = ("single", "best_of_n", "correct")
_MODES = {Mode.CHECKER: "with a checker", Mode.BLIND: "blind"}


def write(
    title: str, facts: Mapping[str, str], summaries: Sequence[Summary], runs: Sequence[Run], *,
    twin: str = "", page: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """The table, or one JSON document, on stdout; the page where one is wanted. `twin` says what strategies that have
    one are compared with."""
    columns, rows = columns_of(summaries, twin), [_row(summary, summaries, twin) for summary in summaries]
    if page is not None:
        page.write_text(comparison_page(title, facts, columns, rows, summaries, runs), encoding="utf-8")
    if as_json:
        output.emit({"facts": facts, "strategies": [dataclasses.asdict(summary) for summary in summaries]})
        return
    for name, value in facts.items():
        output.note(f"{name}: {value}")
    output.table(columns, rows, right=columns[1:])


def title_of(tasks: str, mode: Mode) -> str:
    """What is compared, in a line."""
    return f"{tasks}, {_MODES[mode]}"


def columns_of(summaries: Sequence[Summary], twin: str = "") -> list[str]:
    """The names of the table's columns; the last one is that of the twins, where there are any."""
    fixed = ["strategy", "solved %", "false accepted %", "any right %", "chosen right %", "tokens", "tokens/solved"]
    others = (*_references(summaries), *filter(None, (twin,)))
    return [*fixed, "s/solved", "loops %", "repeats %", *(f"- {name}" for name in others)]


def _references(summaries: Sequence[Summary]) -> list[str]:
    return list(dict.fromkeys(name for summary in summaries for name in summary.differences))


def _row(summary: Summary, summaries: Sequence[Summary], twin: str) -> list[str]:
    return [
        summary.strategy,
        percent(summary.solved),
        percent(summary.false_accepted),
        percent(summary.coverage),
        percent(summary.chosen),
        f"{summary.tokens:.0f}",
        _number(summary.tokens_per_solved),
        _number(summary.seconds_per_solved),
        f"{100 * summary.looped:.1f}",
        f"{100 * summary.repeated:.1f}",
        *(difference(summary.differences.get(name)) for name in _references(summaries)),
        *([difference(summary.twin)] if twin else []),
    ]


def replay_facts(comparison: Comparison, terms: Terms, seeds: int) -> dict[str, str]:
    """What a replay rests on."""
    header = comparison.pool.header
    sampling = header.sampling
    tasks = f"{len(comparison.decks)} of {header.set}"
    if comparison.left_out:
        tasks += f"; {len(comparison.left_out)} left out, which have too few drafts yet"
    return {
        "mode": _MODES[terms.mode],
        "tasks": tasks,
        "model": f"{header.model}, {header.engine}",
        "processor": header.processor,
        "sampling": f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, top-k {sampling.top_k}, "
        f"at most {sampling.max_tokens} tokens a draft" + ("; the first draft greedy" if terms.greedy_first else ""),
        "drafts": f"{sum(len(deck.drafts) for deck in comparison.decks)}, recorded {header.date}",
        "budget": f"{terms.tokens:,} completion tokens a run, {terms.width} drafts at once, {seeds} runs of each task",
    }


def live_facts(name: str, mode: Mode, tasks: int, tokens: int, seeds: int, models: Sequence[str]) -> dict[str, str]:
    """What a live run rests on."""
    return {
        "mode": _MODES[mode],
        "run": f"{name}, through the queue",
        "tasks": str(tasks),
        "model": ", ".join(models) or "-",
        "budget": f"{tokens:,} completion tokens a job, {seeds} jobs of each task",
    }


def percent(estimate: Estimate) -> str:
    """A share with its interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def difference(estimate: Estimate | None) -> str:
    """A difference of shares, in points, with its interval."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{100 * estimate.value:+.1f} ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"


def _number(estimate: Estimate) -> str:
    return "-" if estimate.value is None else f"{estimate.value:,.0f}"
