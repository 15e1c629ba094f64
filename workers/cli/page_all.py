"""All jobs as one page of HTML beside the pages of each: totals, how many were solved, a table with links. Pure; all
text goes through `printable` and `escape`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from html import escape

from tasks.printable import printable
from tasks.store.summaries import JobSummary
from workers.bench.statistics import Estimate
from workers.cli import output
from workers.cli.groups import seconds, tokens
from workers.cli.page import document

_COLUMNS = (
    ("job", True), ("state", False), ("score", True), ("iterations", True), ("tokens", True), ("spent", True),
    ("at work", True), ("strategy", False), ("submitted", False), ("title", False), ("tags", False),
)  # fmt: skip


def page_all(jobs: Sequence[JobSummary], rate: Estimate, now: datetime) -> str:
    """The whole page; `jobs` in the order of the table, `rate` the share of solved problems among them."""
    owners = ", ".join(dict.fromkeys(job.owner for job in jobs))
    body = [
        "<h1>All jobs</h1>",
        f'<p class="soft">{len(jobs)} jobs of {_text(owners or "nobody")}, as of {_moment(now)}</p>',
        _totals(jobs, rate),
        _table(jobs) if jobs else "<p>There is no job.</p>",
    ]
    return document("All jobs", "\n".join(body))


def file_name(job: int) -> str:
    """Of the page of a job, beside this one."""
    return f"job-{job}.html"


def _totals(jobs: Sequence[JobSummary], rate: Estimate) -> str:
    states = Counter(job.state for job in jobs)
    rows = [
        ("by state", ", ".join(f"{number} {state}" for state, number in states.most_common()) or "-"),
        ("solved", _rate(rate)),
        ("iterations", output.count(sum(job.iterations for job in jobs))),
        ("tokens", output.count(sum(map(tokens, jobs)))),
        ("spent", output.usd(sum((job.spend.usd for job in jobs), Decimal()))),
        ("at work", output.duration(sum(map(seconds, jobs)))),
    ]
    lines = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{lines}</table>'


def _rate(rate: Estimate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "-"
    return (
        f"{100 * rate.value:.1f} % of the problems whose jobs have ended, cancelled ones left out "
        f"(95 % interval: {100 * rate.low:.1f} to {100 * rate.high:.1f})"
    )


def _table(jobs: Sequence[JobSummary]) -> str:
    head = "".join(f"<th{_kind(number)}>{name}</th>" for name, number in _COLUMNS)
    return f'<div class="wide"><table class="rounds"><tr>{head}</tr>{"".join(map(_line, jobs))}</table></div>'


def _line(job: JobSummary) -> str:
    kind = "passed" if job.state == "accepted" else "failed" if job.state.final else "soft"
    cells = (
        f'<a href="{file_name(job.job)}">{job.job}</a>',
        f'<span class="{kind}">{_text(job.state)}</span>',
        _text(output.score_of(job)),
        str(job.iterations),
        output.count(tokens(job)),
        output.usd(job.spend.usd),
        output.duration(seconds(job)),
        _text(job.strategy),
        _moment(job.submitted_at),
        _text(job.title),
        _text(", ".join(job.tags)),
    )
    columns = zip(cells, _COLUMNS, strict=True)
    return f"<tr>{''.join(f'<td{_kind(number)}>{cell}</td>' for cell, (_, number) in columns)}</tr>"


def _kind(number: bool) -> str:
    return " class=number" if number else ""


def _moment(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


def _text(content: str) -> str:
    return escape(printable(content))
