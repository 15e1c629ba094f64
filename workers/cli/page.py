"""A job as one page of HTML that needs nothing else: how it stands, its answer and problem, plots as inline SVG, its
iterations with what checks and judges said, its events. Pure.

All text goes through `printable` and `escape`, for models and strangers wrote it, and the page's own policy lets no
script run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import accumulate

from tasks.printable import printable
from tasks.store.summaries import EgressRow, EventRow, IterationRow, JobSummary, VerdictRow
from tasks.types import Hint
from workers.cli import occupancy, omissions, output
from workers.cli.page_help import help_table

WIDTH, HEIGHT, MARGIN = 720, 200, 40
# As many labels as fit under a plot.
LABELS = 15

_STYLE = """
:root { color-scheme: light dark; --line: #2563eb; --best: #15803d; --bad: #b91c1c; --soft: #93c5fd; --warm: #f59e0b;
  --grid: #8884; --muted: #5b6470; }
@media (prefers-color-scheme: dark) {
  :root { --line: #7aa7ff; --best: #4ade80; --bad: #fca5a5; --muted: #a8b0ba; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: break-word; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } .soft { color: var(--muted); } .lead { font-size: 1.15rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
table.facts { width: 100%; } table.facts th { width: 11rem; font-weight: 600; }
table.facts td { overflow-wrap: anywhere; }
table.rounds th, table.rounds td { white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
article { border: 1px solid var(--grid); border-radius: .5rem; padding: .2rem 1rem; margin: 1rem 0; }
article h3 { margin: .6rem 0 0; } article p, article ul { margin: .4rem 0; } ul { padding-left: 1.2rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .8rem; margin: .4rem 0; border: 1px solid var(--grid);
  border-radius: .3rem; font-size: .9rem; }
summary { cursor: pointer; } svg { width: 100%; height: auto; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.passed { color: var(--best); } .failed { color: var(--bad); }
@media (max-width: 40rem) {
  body { margin: 1rem auto; } table.facts th { width: 6.5rem; } svg text { font-size: 17px; }
  table.rounds { font-size: .78rem; } table.rounds th, table.rounds td { padding-right: .45rem; } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a page tells beside facts and iterations: the `problem` as it was handed in, the job's `events`, the words
    of `judges`, each with the iteration, the check and the vote that it was, and what `worked` for it when."""

    problem: str = ""
    events: Sequence[EventRow] = ()
    judges: Sequence[tuple[int, str, str]] = ()
    worked: occupancy.Occupancy | None = None


NO_STORY = Story()


def page(
    job: JobSummary,
    rounds: Sequence[IterationRow],
    judged_by: str = "",
    helped_by: Sequence[EgressRow] = (),
    cloud_only: str = "",
    hints: Sequence[Hint] = (),
    story: Story = NO_STORY,
) -> str:
    """The whole page; `rounds` are the job's recorded iterations, the first first. `judged_by` says what an acceptance
    by judges alone is worth, `helped_by` what was asked of a stronger model, and `cloud_only` what that model would
    have cost alone; `hints` is the advice that people gave."""
    body = [
        f"<h1>{_text(job.title)}</h1>",
        f'<p class="soft">job {job.job} of {_text(job.owner)}, as of {_moment(job.now)}</p>',
        _lead(job),
        _facts(job, judged_by, cloud_only, rounds),
    ]
    if job.answer is not None:
        body += [f"<h2>Answer of iteration {job.answer_iteration}</h2>", f"<pre>{_text(job.answer)}</pre>"]
    if story.problem:
        body += ["<h2>Problem</h2>", f"<pre>{_text(story.problem)}</pre>"]
    if rounds:
        body += ["<h2>Score by iteration</h2>", score_plot(rounds)]
        body += ["<h2>Tokens by iteration</h2>", token_plot(rounds)]
        if story.worked:
            said = _text(occupancy.words(story.worked))
            body += ["<h2>What worked when</h2>", occupancy.plot(story.worked), f'<p class="soft">{said}</p>']
        body += ["<h2>Iterations</h2>", _overview(rounds), *(_iteration(row, story) for row in rounds)]
    else:
        body.append("<p>No iteration has been recorded yet.</p>")
    if hints:
        body += ["<h2>Hints</h2>", *map(_hint, hints)]
    if helped_by:
        body += ["<h2>Help</h2>", f'<div class="wide">{help_table(helped_by)}</div>']
    if story.events:
        body += ["<h2>Events</h2>", _events(story.events)]
    return document(f"job {job.job}: {job.title}", "\n".join(body))


def _lead(job: JobSummary) -> str:
    """How it stands, in a sentence."""
    kind = "passed" if job.state == "accepted" else "failed" if job.state.final else "soft"
    how = f"{job.state} ({job.acceptance})" if job.acceptance else str(job.state)
    reason = f": {_text(job.reason)}" if job.reason else ""
    return f'<p class="lead"><strong class="{kind}">{_text(how)}</strong>{reason}</p>'


def _events(events: Sequence[EventRow]) -> str:
    rows = (f"<li>{_moment(event.at)} <strong>{_text(event.kind)}</strong>{_detail(event)}" for event in events)
    return f"<ul>{''.join(f'{row}</li>' for row in rows)}</ul>"


def _detail(event: EventRow) -> str:
    """One line beside the event; more of them, such as a traceback, below it."""
    if "\n" in event.detail.strip():
        return f"<pre>{_text(event.detail.strip())}</pre>"
    return f": {_text(event.detail)}" if event.detail else ""


def document(title: str, body: str) -> str:
    """A page of its own, which loads nothing and lets no script run; `body` is HTML."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _moment(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


def _text(content: str) -> str:
    return escape(printable(content))


def _facts(job: JobSummary, judged_by: str, cloud_only: str, rounds: Sequence[IterationRow]) -> str:
    spend, budget = job.spend, job.budget
    models, shared = dict.fromkeys(row.model for row in rounds if row.model), ", ".join(job.shared_checks)
    rows = [
        ("model", ", ".join(models) or job.model or "-"),
        *([("judged by", judged_by)] if judged_by else []),
        ("score", output.score_of(job)),
        *([("left out", "; ".join(map(omissions.of_job, job.left_out)))] if job.left_out else []),
        *([("shared", f"{shared}: judged in the candidate's process")] if shared else []),
        ("strategy", job.strategy),
        ("iterations", f"{job.iterations} of {budget.iterations}"),
        ("tokens", f"{output.count(spend.local_tokens + spend.cloud_tokens)} of {output.count(budget.tokens)}"),
        ("spend", f"{output.usd(spend.usd)} of {output.usd(budget.usd)}" + (f"; {cloud_only}" if cloud_only else "")),
        ("tags", ", ".join(job.tags) or "-"),
        ("submitted", _moment(job.submitted_at)),
        ("finished", _moment(job.finished_at) if job.finished_at else "-"),
        ("age", output.duration(job.age_seconds)),
    ]
    return (
        '<table class="facts">'
        + "".join(f"<tr><th>{_text(n)}</th><td>{_text(v)}</td></tr>" for n, v in rows)
        + "</table>"
    )


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


def _hint(hint: Hint) -> str:
    seen = f"first seen by iteration {hint.iteration}" if hint.iteration else "not yet seen"
    about = f"{_text(hint.by)} ({_text(str(hint.source))}), {_moment(hint.at)}, {seen}"
    question = f"<p>asked: {_text(hint.question)}</p>" if hint.question else ""
    return f'<article><p class="soft">{about}</p>{question}<pre>{_text(hint.text)}</pre></article>'


def _overview(rounds: Sequence[IterationRow]) -> str:
    """A short line an iteration, which leads to what is below."""
    names = (("iteration", True), ("operator", False), ("score", True), ("checks", False), ("tokens", True))
    head = "".join(
        f"<th{' class=number' if number else ''}>{name}</th>" for name, number in (*names, ("seconds", True))
    )
    lines = "".join(
        f'<tr><td class=number><a href="#i{row.iteration}">{row.iteration}</a></td><td>{_text(row.operator)}</td>'
        f"<td class=number>{output.score_of(row)}</td><td>{_checks(row)}</td>"
        f"<td class=number>{output.count(row.prompt_tokens + row.completion_tokens)}</td>"
        f"<td class=number>{_seconds(row)}</td></tr>"
        for row in rounds
    )
    return f'<div class="wide"><table class="rounds"><tr>{head}</tr>{lines}</table></div>'


def _checks(row: IterationRow) -> str:
    if row.guard:
        return "degenerate"
    passed = sum(verdict.passed for verdict in row.verdicts)
    kind = "passed" if passed == len(row.verdicts) else "failed"
    return f'<span class="{kind}">{passed} of {len(row.verdicts)}</span>' if row.verdicts else "-"


def _seconds(row: IterationRow) -> str:
    return "-" if row.seconds is None else f"{row.seconds:.1f}"


def _iteration(row: IterationRow, story: Story) -> str:
    """All of one iteration: its verdicts, the judges' words, its candidate, what came of it."""
    about = [
        _text(row.model or ""),
        f"{output.count(row.prompt_tokens)} tokens in, {output.count(row.cached_tokens)} of them cached",
        f"{output.count(row.completion_tokens)} out",
        f"{_seconds(row)} s" if row.seconds is not None else "",
        output.usd(row.usd) if row.usd else "",
    ]
    parts = [
        f'<article id="i{row.iteration}"><h3>Iteration {row.iteration}: {_text(row.operator)}, '
        f"score {output.score_of(row)}</h3>",
        f'<p class="soft">{" · ".join(part for part in about if part)}</p>',
    ]
    if row.guard:
        parts.append(f'<p class="failed">degenerate ({_text(row.guard)})</p>')
    elif row.verdicts:
        parts.append(f"<ul>{''.join(map(_verdict, row.verdicts))}</ul>")
    if row.let_through:
        parts.append(f"<p>let through: {_text(row.let_through)}</p>")
    said = [(check, text) for number, check, text in story.judges if number == row.iteration]
    parts += [_details(f"{check} said", text) for check, text in said]
    if row.candidate:
        parts.append(_details("candidate", row.candidate))
    if row.hint:
        parts.append(_details("advice", row.hint))
    left_out = "\n".join(omissions.by_call(row.omissions))
    if left_out:
        parts.append(_details("left out of prompts", left_out))
    return "".join([*parts, f"<p>then: {_text(row.decision)}</p></article>"])


def _verdict(verdict: VerdictRow) -> str:
    kind = "passed" if verdict.passed else "failed"
    value = f" = {output.score(None, verdict.value)}" if verdict.value is not None else ""
    feedback = _details("feedback", verdict.feedback) if verdict.feedback else ""
    name = f"{_text(verdict.check)}{_text(verdict.notes)}"
    return f'<li><span class="{kind}">{kind}</span> {name}{value}{feedback}</li>'


def _details(summary: str, text: str) -> str:
    return f"<details><summary>{_text(summary)}</summary><pre>{_text(text)}</pre></details>"
