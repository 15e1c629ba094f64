"""The live table of one moment, at several widths: totals, what is left out first, why nothing moves."""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from tasks.kinds import Acceptance, JobState, Lane
from tasks.store.joblines import JobLine, Totals
from tasks.store.workerrows import WorkerRow
from workers.cli.estimate import SecondsLeft, of_totals
from workers.cli.watchview import Look, bar, rate, rows_shown, used, view

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LINE = JobLine(
    job=17,
    title="Shortest addition chain",
    state=JobState.RUNNING,
    reason="",
    acceptance=None,
    lane=Lane.GPU,
    iterations=3,
    score=0.5,
    value=None,
    measured=False,
    usd=Decimal("0.04"),
    tokens=81_234,
    budget_usd=Decimal(2),
    budget_hours=4.0,
    budget_iterations=30,
    budget_tokens=1_000_000,
    submitted_at=NOON,
    started_at=NOON,
    finished_at=None,
    cancel_requested=False,
    pause_requested=False,
    model="",
    worker="w",
    phase="drafting",
    operator="revise",
    context_above=0,
    waits_for="",
    question=None,
    answer_until=None,
    next_lane="gpu",
    resting_seconds=0.0,
    idle_seconds=0.0,
    now=NOON + timedelta(seconds=190),
)
WORKER = WorkerRow(
    name="w",
    host="h",
    pid=1,
    lanes=("check", "gpu"),
    slots=8,
    model="m",
    modalities=("text",),
    models=("m",),
    silent_seconds=1.0,
    live=True,
    context_tokens=8192,
)
TOTALS = Totals(
    jobs={JobState.QUEUED: 97, JobState.RUNNING: 4, JobState.ACCEPTED: 12},
    working=3,
    usd=Decimal("1.20"),
    tokens=2_400_000,
    iterations=40,
    iterations_left=900,
    longest_left=30,
    most_iterations=8,
    first_started_at=NOON,
    now=NOON + timedelta(seconds=190),
)


def line(**fields: Any) -> JobLine:
    return dataclasses.replace(LINE, **fields)


def look(*jobs: JobLine, **fields: Any) -> Look:
    rates = {17: 58.3}
    return Look(jobs=jobs, **{"totals": TOTALS, "rates": rates, "workers": (WORKER,), **fields})


def lines(moment: Look, width: int, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, record=True, file=io.StringIO(), color_system=None)
    console.print(view(moment, width=width, height=height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_at_every_width_a_job_has_its_number_state_iteration_and_score(width: int) -> None:
    shown = lines(look(line(), line(job=18, worker=None, state=JobState.QUEUED)), width)
    row = next(text for text in shown if text.lstrip().startswith("17 "))
    assert row.split()[:4] == ["17", "running", "4/30", "0.50"]
    assert all(len(text) <= width for text in shown)


def test_at_80_columns_the_title_and_what_it_does_are_readable_and_at_120_more_columns_are_there() -> None:
    narrow, wide = lines(look(line()), 80), lines(look(line()), 120)
    assert "Shortest addition chain" in narrow[-1]
    assert "58" in narrow[-1]
    assert {"job", "state", "iter", "score", "tok/s", "used", "now"} <= set(narrow[-2].split())
    assert {"spent", "age", "title", "now"} <= set(wide[-2].split())
    assert "revise · drafting" in wide[-1]


def test_above_the_table_stand_the_sums_the_pace_and_the_time_left() -> None:
    shown = "\n".join(lines(look(line(), left=SecondsLeft(about=7500.0, at_most=32_400.0)), 140))
    for words in ("3 at work", "98 waiting", "12 accepted", "58 tok/s", "2.4M tokens", "$1.20", "about 2h05m left"):
        assert words in shown


def test_why_nothing_moves_stands_above_the_table_and_at_the_job() -> None:
    sick = dataclasses.replace(
        WORKER, lanes=("check",), closed_lanes=("gpu",), engine_fault="out of memory", restarted_seconds=40.0
    )
    waiting = line(worker=None)
    shown = lines(look(waiting, workers=(sick,)), 120)
    assert any(text.startswith("waits for the engine: out of memory, restarted 40s ago") for text in shown[:3])
    assert "waits for the engine" in shown[-1]


def test_the_page_fits_the_screen_and_says_which_jobs_it_shows() -> None:
    moment = look(*(line(job=number) for number in range(1, 60)), offset=20, keys=True)
    shown = lines(moment, 100, 12)
    assert len(shown) == 12
    assert len([text for text in shown if "running" in text]) == rows_shown(moment, width=100, height=12)
    assert shown[-1].startswith("21-29 of 113")


def test_a_title_cannot_steer_the_terminal() -> None:
    shown = "\n".join(lines(look(line(title="\x1b]0;owned\x07 [bold]x[/bold]\nnext")), 160))
    assert "\x1b" not in shown
    assert r"\x1b]0;owned\x07" in shown
    assert "[bold]x[/bold] next" in shown


def test_progress_is_the_scarcest_part_of_the_budget() -> None:
    assert used(LINE) == pytest.approx(3 / 30)
    assert used(line(budget_tokens=162_468)) == pytest.approx(0.5)
    assert used(line(budget_usd=Decimal("0.05"))) == pytest.approx(0.8)
    late = line(now=NOON + timedelta(hours=3))
    assert used(late) == pytest.approx(0.75)
    assert used(dataclasses.replace(late, idle_seconds=2 * 3600.0)) == pytest.approx(0.25)
    assert bar(line(iterations=15), width=4) == "██░░"
    assert bar(line(state=JobState.ACCEPTED, acceptance=Acceptance.VERIFIED), width=4) == "████"


@pytest.mark.parametrize(("pace", "shown"), [(0.0, "-"), (0.3, "0.3"), (9.94, "9.9"), (58.3, "58"), (4321.0, "4.3k")])
def test_a_slow_pace_is_a_pace_too(pace: float, shown: str) -> None:
    assert rate(pace) == shown


def after(seconds: float, iterations: int, jobs: dict[JobState, int] | None = None) -> Totals:
    now = NOON + timedelta(seconds=190 + seconds)
    left = TOTALS.iterations_left - iterations
    counts = TOTALS.jobs if jobs is None else jobs
    return dataclasses.replace(TOTALS, iterations=40 + iterations, iterations_left=left, now=now, jobs=counts)


def test_the_time_left_follows_the_pace_since_the_first_look() -> None:
    before = of_totals(TOTALS, TOTALS)
    assert before is not None
    assert before.at_most == pytest.approx(900 * 190 / 40)
    later = of_totals(TOTALS, after(100.0, 50))
    assert later is not None
    assert later.at_most == pytest.approx(850 * 2.0)
    assert later.about < later.at_most


def test_of_what_has_not_begun_or_has_ended_nothing_is_foretold() -> None:
    fresh = dataclasses.replace(TOTALS, iterations=0, first_started_at=None)
    assert of_totals(fresh, fresh) is None
    assert of_totals(TOTALS, after(100.0, 50, {JobState.ACCEPTED: 113})) is None


def test_a_finished_job_shows_how_it_ended() -> None:
    ended = line(state=JobState.UNSOLVED, worker=None, reason="iterations: 30 of 30 are used", iterations=30)
    shown = "\n".join(lines(look(ended), 140))
    assert "30/30" in shown
    assert "iterations: 30 of 30" in shown
