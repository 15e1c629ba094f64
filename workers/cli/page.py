"""A job as one page of HTML that needs nothing else: facts, plots as inline SVG, iterations, the answer. Pure.

All text goes through `printable` and `escape`, for models and strangers wrote it, and the page's own policy lets no
script run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate

from tasks.printable import printable
from tasks.store.summaries import EgressRow, IterationRow, JobSummary
from tasks.types import Hint
from workers.cli import omissions, output
from workers.cli.page_help import help_table

WIDTH, HEIGHT, MARGIN = 720, 200, 40
# As many labels as fit under a plot.
LABELS = 15

_STYLE = """
:root { color-scheme: light dark; --line: #2563eb; --best: #16a34a; --soft: #93c5fd; --warm: #f59e0b; --grid: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } .soft { opacity: .7; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--grid); vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; border: 1px solid var(--grid); }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.passed { color: var(--best); } .failed { color: #dc2626; }
"""


def page(
    job: JobSummary,
    rounds: Sequence[IterationRow],
    judged_by: str = "",
    helped_by: Sequence[EgressRow] = (),
    cloud_only: str = "",
    hints: Sequence[Hint] = (),
) -> str:
    """The whole page; `rounds` are the job's recorded iterations, the first first. `judged_by` says what an acceptance
    by judges alone is worth, `helped_by` what was asked of a stronger model, and `cloud_only` what that model would
    have cost alone; `hints` is the advice that people gave."""
    moment = job.now.isoformat(timespec="seconds")
    body = [
        f"<h1>{_text(job.title)}</h1>",
        f'<p class="soft">job {job.job} of {_text(job.owner)}, as of {moment}</p>',
        _facts(job, judged_by, cloud_only),
    ]
    if rounds:
        body += ["<h2>Score by iteration</h2>", score_plot(rounds)]
        body += ["<h2>Tokens by iteration</h2>", token_plot(rounds)]
        body += ["<h2>Iterations</h2>", _iterations(rounds)]
    else:
        body.append("<p>No iteration has been recorded yet.</p>")
    if hints:
        body += ["<h2>Hints</h2>", _hints(hints)]
    if helped_by:
        body += ["<h2>Help</h2>", help_table(helped_by)]
    if job.answer is not None:
        body += [f"<h2>Answer of iteration {job.answer_iteration}</h2>", f"<pre>{_text(job.answer)}</pre>"]
    return document(f"job {job.job}: {job.title}", "\n".join(body))


def document(title: str, body: str) -> str:
    """A page of its own, which loads nothing and lets no script run; `body` is HTML."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _text(content: str) -> str:
    return escape(printable(content))


def _facts(job: JobSummary, judged_by: str, cloud_only: str) -> str:
    spend, budget = job.spend, job.budget
    rows = [
        ("state", f"{job.state} ({job.acceptance})" if job.acceptance else str(job.state)),
        ("reason", job.reason or "-"),
        *([("judged by", judged_by)] if judged_by else []),
        ("score", output.score(job.score, job.value)),
        ("left out of prompts", "; ".join(map(omissions.of_job, job.left_out)) or "nothing"),
        ("judged in the candidate's process", ", ".join(job.shared_checks) or "never"),
        ("strategy", job.strategy),
        ("iterations", f"{job.iterations} of {budget.iterations}"),
        ("tokens", f"{output.count(spend.local_tokens + spend.cloud_tokens)} of {output.count(budget.tokens)}"),
        ("spend", f"{output.usd(spend.usd)} of {output.usd(budget.usd)}" + (f"; {cloud_only}" if cloud_only else "")),
        ("tags", ", ".join(job.tags) or "-"),
        ("submitted", job.submitted_at.isoformat(timespec="seconds")),
        ("finished", job.finished_at.isoformat(timespec="seconds") if job.finished_at else "-"),
        ("age", output.duration(job.age_seconds)),
    ]
    return "<table>" + "".join(f"<tr><th>{_text(n)}</th><td>{_text(v)}</td></tr>" for n, v in rows) + "</table>"


def score_plot(rounds: Sequence[IterationRow]) -> str:
    """Each iteration's best score as a point, and the best so far as a line; from 0 to 1. Where the job's checks
    measure values it is these, from the least to the greatest, and the line is the answer's."""
    if any(row.value is not None for row in rounds):
        return _value_plot(rounds)
    scores = [row.score or 0.0 for row in rounds]
    xs = _places(len(rounds))
    best = list(accumulate(scores, max))
    points = "".join(
        f'<circle cx="{x:.1f}" cy="{_height(score, 1.0):.1f}" r="4" fill="var(--line)">'
        f"<title>iteration {row.iteration}: {score:.2f}</title></circle>"
        for x, score, row in zip(xs, scores, rounds, strict=True)
    )
    path = " ".join(f"{x:.1f},{_height(score, 1.0):.1f}" for x, score in zip(xs, best, strict=True))
    line = f'<polyline points="{path}" fill="none" stroke="var(--best)" stroke-width="2"/>'
    return _plot("score by iteration", rounds, [(0.0, "0"), (0.5, "0.5"), (1.0, "1")], 1.0, line + points)


def _value_plot(rounds: Sequence[IterationRow]) -> str:
    values = [row.value for row in rounds if row.value is not None]
    low, high = min(values), max(values)
    points, path, best = [], [], None
    for x, row in zip(_places(len(rounds)), rounds, strict=True):
        if row.value is not None:
            points.append(
                f'<circle cx="{x:.1f}" cy="{_height(_share(row.value, low, high), 1.0):.1f}" r="4" fill="var(--line)">'
                f"<title>iteration {row.iteration}: {row.value:.10g}</title></circle>"
            )
        best = row.value if row.improved else best
        if best is not None:
            path.append(f"{x:.1f},{_height(_share(best, low, high), 1.0):.1f}")
    line = f'<polyline points="{" ".join(path)}" fill="none" stroke="var(--best)" stroke-width="2"/>'
    marks = {0.0: low, 0.5: low / 2 + high / 2, 1.0: high} if low < high else {0.5: low}
    ticks = [(share, output.score(None, value)) for share, value in marks.items()]
    return _plot("value by iteration", rounds, ticks, 1.0, line + "".join(points))


def _share(value: float, low: float, high: float) -> float:
    """Where a value lies between the least and the greatest, from 0 to 1."""
    return (value - low) / (high - low) if low < high else 0.5


def token_plot(rounds: Sequence[IterationRow]) -> str:
    """A bar for each iteration: tokens in from the cache, the other tokens in, tokens out."""
    top = max(1, *(row.prompt_tokens + row.completion_tokens for row in rounds))
    width = max(1.0, min(40.0, 0.7 * (WIDTH - 2 * MARGIN) / len(rounds)))
    bars = []
    for x, row in zip(_places(len(rounds)), rounds, strict=True):
        fresh = row.prompt_tokens - row.cached_tokens
        low = 0
        for name, part in (("soft", row.cached_tokens), ("line", fresh), ("warm", row.completion_tokens)):
            bars.append(
                f'<rect x="{x - width / 2:.1f}" y="{_height(low + part, top):.1f}" width="{width:.1f}" '
                f'height="{_height(low, top) - _height(low + part, top):.1f}" fill="var(--{name})">'
                f"<title>iteration {row.iteration}: {row.cached_tokens} cached, {fresh} more in, "
                f"{row.completion_tokens} out</title></rect>"
            )
            low += part
    ticks = [(0.0, "0"), (top / 2, output.count(top // 2)), (float(top), output.count(top))]
    legend = '<p class="soft">from the bottom: in from the cache, other tokens in, tokens out</p>'
    return _plot("tokens by iteration", rounds, ticks, top, "".join(bars)) + legend


def _plot(
    title: str, rounds: Sequence[IterationRow], ticks: Iterable[tuple[float, str]], top: float, inner: str
) -> str:
    grid = "".join(
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{_height(value, top):.1f}" y2="{_height(value, top):.1f}" '
        f'stroke="var(--grid)"/><text x="{MARGIN - 6}" y="{_height(value, top) + 4:.1f}" text-anchor="end">'
        f"{_text(label)}</text>"
        for value, label in ticks
    )
    step = -(-len(rounds) // LABELS)
    labels = "".join(
        f'<text x="{x:.1f}" y="{HEIGHT - MARGIN / 2:.1f}" text-anchor="middle">{row.iteration}</text>'
        for index, (x, row) in enumerate(zip(_places(len(rounds)), rounds, strict=True))
        if index % step == 0
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(title)}">'
        f"<title>{_text(title)}</title>{grid}{labels}{inner}</svg>"
    )


def _places(count: int) -> list[float]:
    step = (WIDTH - 2 * MARGIN) / count
    return [MARGIN + step * (index + 0.5) for index in range(count)]


def _height(value: float, top: float) -> float:
    return HEIGHT - MARGIN - (HEIGHT - 1.5 * MARGIN) * value / top


def _iterations(rounds: Sequence[IterationRow]) -> str:
    head = "".join(
        f'<th{" class=number" if number else ""}>{name}</th>'
        for name, number in (
            ("iteration", True), ("operator", False), ("score", True), ("verdicts", False), ("tokens", True),
            ("seconds", True), ("decision", False),
        )
    )  # fmt: skip
    return f"<table><tr>{head}</tr>{''.join(_iteration(row) for row in rounds)}</table>"


def _hints(hints: Sequence[Hint]) -> str:
    rows = "".join(
        f"<tr><td>{_text(hint.by)} ({hint.source})</td><td>{hint.at.isoformat(timespec='seconds')}</td>"
        f"<td class=number>{hint.iteration or '-'}</td><td>{_text(hint.question)}</td>"
        f"<td><pre>{_text(hint.text)}</pre></td></tr>"
        for hint in hints
    )
    names = ("given by", "at", "first seen by iteration", "asked", "advice")
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>{rows}</table>"


def _iteration(row: IterationRow) -> str:
    verdicts = "<br>".join(
        f'<span class="{"passed" if v.passed else "failed"}">{"passed" if v.passed else "failed"}</span> '
        f"{_text(v.check)}{_text(v.notes)}"
        + (f" = {output.score(None, v.value)}" if v.value is not None else "")
        + (f"<details><summary>feedback</summary><pre>{_text(v.feedback)}</pre></details>" if v.feedback else "")
        for v in row.verdicts
    )
    if row.guard:
        verdicts = f"degenerate ({_text(row.guard)})"
    elif row.let_through:
        verdicts += f"<br>let through: {_text(row.let_through)}"
    candidate = ""
    if row.candidate:
        candidate = f"<details><summary>candidate</summary><pre>{_text(row.candidate)}</pre></details>"
    if row.hint:
        candidate = f"<details><summary>advice</summary><pre>{_text(row.hint)}</pre></details>"
    left_out = "".join(f"{_text(line)}\n" for line in omissions.by_call(row.omissions))
    if left_out:
        candidate += f"<details><summary>left out of prompts</summary><pre>{left_out}</pre></details>"
    seconds = "-" if row.seconds is None else f"{row.seconds:.1f}"
    return (
        f"<tr><td class=number>{row.iteration}</td><td>{_text(row.operator)}</td>"
        f"<td class=number>{output.score(row.score, row.value)}</td><td>{verdicts or '-'}{candidate}</td>"
        f"<td class=number>{output.count(row.prompt_tokens + row.completion_tokens)}</td>"
        f"<td class=number>{seconds}</td><td>{_text(row.decision)}</td></tr>"
    )
