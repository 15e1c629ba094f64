"""A comparison of strategies as one page of HTML that needs nothing else: the table, and its plots as inline SVG.
Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from tasks.printable import printable
from workers.bench.runs import Run
from workers.bench.statistics import Estimate, Summary
from workers.cli import page

WIDTH, HEIGHT, MARGIN = 720, 260, 48
COLOURS = ("#2563eb", "#16a34a", "#f59e0b", "#dc2626", "#7c3aed", "#0891b2", "#9d174d", "#4d7c0f")


def comparison_page(
    title: str, facts: Mapping[str, str], columns: Sequence[str], rows: Sequence[Sequence[str]],
    summaries: Sequence[Summary], runs: Sequence[Run],
) -> str:  # fmt: skip
    """The whole page; `rows` are the cells of the table."""
    named = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in facts.items())
    head = "".join(f"<th>{_text(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    parts = [
        f"<h1>{_text(title)}</h1><table>{named}</table><h2>Strategies</h2><table><tr>{head}</tr>{body}</table>",
        "<h2>Solved tasks</h2><p class=soft>the share of runs that ended with a right answer accepted, with its 95 % "
        f"interval</p>{interval_plot('solved tasks', summaries, lambda summary: summary.solved)}",
        "<h2>Solved within a number of tokens</h2><p class=soft>the share of runs that were solved within so many "
        f"completion tokens</p>{token_plot(runs)}",
    ]
    return page.document(title, "".join(parts))


def interval_plot(title: str, summaries: Sequence[Summary], of: Callable[[Summary], Estimate]) -> str:
    """A point with its interval for each strategy, from 0 to 1."""
    step = (WIDTH - 2 * MARGIN) / max(1, len(summaries))
    marks = []
    for index, summary in enumerate(summaries):
        x, estimate, colour = MARGIN + step * (index + 0.5), of(summary), _colour(index)
        if estimate.value is None or estimate.low is None or estimate.high is None:
            continue
        shown = f"{summary.strategy}: {estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
        marks.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(estimate.low):.1f}" y2="{_y(estimate.high):.1f}" '
            f'stroke="{colour}" stroke-width="3"/><circle cx="{x:.1f}" cy="{_y(estimate.value):.1f}" r="6" '
            f'fill="{colour}"><title>{_text(shown)}</title></circle>'
            f'<text x="{x:.1f}" y="{HEIGHT - MARGIN / 3:.1f}" text-anchor="middle">{_text(summary.strategy)}</text>'
        )
    return _plot(title, "".join(marks))


def token_plot(runs: Sequence[Run]) -> str:
    """A line for each strategy: the share of its runs that were solved within so many completion tokens."""
    top = max((run.completion_tokens for run in runs), default=1)
    lines, labels = [], []
    for index, name in enumerate(dict.fromkeys(run.strategy for run in runs)):
        own = [run for run in runs if run.strategy == name]
        ends = sorted(run.completion_tokens for run in own if run.solved)
        points = [(0.0, 0.0)]
        for number, tokens in enumerate(ends, start=1):
            points += [(tokens, points[-1][1]), (tokens, number / len(own))]
        points.append((top, points[-1][1]))
        path = " ".join(f"{MARGIN + (WIDTH - 2 * MARGIN) * x / top:.1f},{_y(y):.1f}" for x, y in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{_colour(index)}" stroke-width="2"/>')
        labels.append(f'<span style="color:{_colour(index)}">■</span> {_text(name)}')
    axis = "".join(
        f'<text x="{MARGIN + (WIDTH - 2 * MARGIN) * share:.1f}" y="{HEIGHT - MARGIN / 3:.1f}" text-anchor="middle">'
        f"{top * share:,.0f}</text>"
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    return _plot("solved by tokens", axis + "".join(lines)) + f"<p>{' &nbsp; '.join(labels)}</p>"


def _plot(title: str, inner: str) -> str:
    grid = "".join(
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{_y(value):.1f}" y2="{_y(value):.1f}" stroke="var(--grid)"/>'
        f'<text x="{MARGIN - 6}" y="{_y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        for value in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    named = f'role="img" aria-label="{_text(title)}"'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" {named}><title>{_text(title)}</title>{grid}{inner}</svg>'


def _y(share: float) -> float:
    return HEIGHT - MARGIN - (HEIGHT - 1.5 * MARGIN) * share


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _text(text: str) -> str:
    return escape(printable(text))
