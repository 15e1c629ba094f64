"""How `redraft bench loop` shows a comparison: a table, JSON, a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.bench.comparison import Comparison
from workers.bench.replay import Terms
from workers.bench.runs import Run
from workers.bench.statistics import Estimate, Summary
from workers.bench.tasks import Mode
from workers.cli import output
from workers.cli.bench_page import comparison_page

# Every strategy is compared with these, where they take part.
REFERENCES = ("single", "best_of_n", "correct")
_MODES = {Mode.CHECKER: "with a checker", Mode.BLIND: "blind"}


def write(
    comparison: Comparison, terms: Terms, seeds: int, summaries: Sequence[Summary], runs: Sequence[Run], *,
    page: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """The table, or one JSON document, on stdout; the page where one is wanted."""
    facts = _facts(comparison, terms, seeds)
    columns, rows = columns_of(summaries), [_row(summary, summaries) for summary in summaries]
    if page is not None:
        title = f"{comparison.pool.header.set}, {_MODES[terms.mode]}"
        page.write_text(comparison_page(title, facts, columns, rows, summaries, runs), encoding="utf-8")
    if as_json:
        output.emit({"facts": facts, "strategies": [_plain(summary) for summary in summaries]})
        return
    for name, value in facts.items():
        output.note(f"{name}: {value}")
    output.table(columns, rows, right=columns[1:])


def columns_of(summaries: Sequence[Summary]) -> list[str]:
    """The names of the table's columns."""
    fixed = ["strategy", "solved %", "false accepted %", "any right %", "chosen right %", "tokens", "tokens/solved"]
    return [*fixed, "s/solved", "loops %", "repeats %", *(f"- {name}" for name in _references(summaries))]


def _references(summaries: Sequence[Summary]) -> list[str]:
    return list(dict.fromkeys(name for summary in summaries for name in summary.differences))


def _row(summary: Summary, summaries: Sequence[Summary]) -> list[str]:
    return [
        summary.strategy,
        _percent(summary.solved),
        _percent(summary.false_accepted),
        _percent(summary.coverage),
        _percent(summary.chosen),
        f"{summary.tokens:.0f}",
        _number(summary.tokens_per_solved),
        _number(summary.seconds_per_solved),
        f"{100 * summary.looped:.1f}",
        f"{100 * summary.repeated:.1f}",
        *(_difference(summary.differences.get(name)) for name in _references(summaries)),
    ]


def _facts(comparison: Comparison, terms: Terms, seeds: int) -> dict[str, str]:
    header = comparison.pool.header
    sampling = header.sampling
    tasks = f"{len(comparison.replays)} of {header.set}"
    if comparison.left_out:
        tasks += f"; {len(comparison.left_out)} left out, which have too few drafts yet"
    return {
        "mode": _MODES[terms.mode],
        "tasks": tasks,
        "model": f"{header.model}, {header.engine}",
        "processor": header.processor,
        "sampling": f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, top-k {sampling.top_k}, "
        f"at most {sampling.max_tokens} tokens a draft" + ("; the first draft greedy" if terms.greedy_first else ""),
        "drafts": f"{sum(len(replay.drafts) for replay in comparison.replays)}, recorded {header.date}",
        "budget": f"{terms.tokens:,} completion tokens a run, {terms.width} drafts at once, {seeds} runs of each task",
    }


def _plain(summary: Summary) -> dict[str, Any]:
    return dataclasses.asdict(summary)


def _percent(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def _difference(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{100 * estimate.value:+.1f} ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"


def _number(estimate: Estimate) -> str:
    return "-" if estimate.value is None else f"{estimate.value:,.0f}"
