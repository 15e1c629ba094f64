"""The demo's progress and what it says afterwards."""

from __future__ import annotations

import io
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.installed import installed_rules
from tasks.jobflags import Flags
from tasks.settings import load_settings
from tasks.store.summaries import JobSummary
from tasks.submit import read_jobs
from tasks.types import Budget, JobState
from tests.unit.cli.test_progress import written
from tests.unit.cli.test_watch import NOON, changed
from workers.cli.estimate import progress_line, seconds_left
from workers.cli.next_steps import next_steps, program
from workers.cli.progress import ProgressLine
from workers.packaged import ops

BUDGET = Budget(iterations=8)
NEW = changed(title="Sum", iterations=0, budget=BUDGET)
THIRD = changed(title="Mean", iterations=2, budget=BUDGET)
DONE = changed(title="Area", iterations=4, budget=BUDGET, state=JobState.ACCEPTED, finished_at=NOON)


def test_nothing_is_said_of_the_time_left_before_as_many_iterations_as_jobs_are_recorded() -> None:
    assert seconds_left([NEW, NEW, THIRD], 30.0) is None
    assert "left" not in progress_line([NEW], 50.0, 30.0)


def test_at_most_all_iterations_that_are_allowed_come_at_the_pace_so_far() -> None:
    # 14 are left and 6 were recorded in 60 s: 140 s together; the chain of 8 has had none in 60 s: 480 s.
    assert most([NEW, THIRD, DONE], 60.0) == 480.0
    # 12 more, where 8 took 60 s, are 90 s; the chain of 6, each as long as the two before, is 180 s.
    assert most([THIRD, THIRD, DONE], 60.0) == 180.0
    # Eight jobs at once fill the engine: 48 more where 16 took 60 s.
    assert most([THIRD] * 8, 60.0) == 180.0
    assert most([DONE], 60.0) == 0.0


def test_about_as_many_are_accepted_as_before() -> None:
    left = seconds_left([THIRD, DONE], 60.0)
    assert left is not None
    # One of six was accepted: a share of 2 in 8, so 3.3 of the six that are left, each 30 s.
    assert left.about == pytest.approx(30.0 * (1 - 0.75**6) / 0.25)
    assert left.about < left.at_most


def most(jobs: list[JobSummary], elapsed: float) -> float:
    left = seconds_left(jobs, elapsed)
    assert left is not None
    return left.at_most


def test_the_line_names_what_is_accepted_the_pace_and_each_unfinished_iteration() -> None:
    line = progress_line([NEW, THIRD, DONE], 91.4, 60.0)
    assert line == ("1 of 3 accepted · 91 tok/s · about 3m35s left, at most 8m00s · iteration: Sum 1/8, Mean 3/8")
    assert progress_line([DONE], 0.0, 60.0) == "1 of 1 accepted"


def test_a_terminal_sees_one_line_that_renews_itself() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, ProgressLine(terminal) as line:
        line.update("1 of 7 accepted")
        line.update("2 of 7 accepted")
    seen = written(ours)
    assert "2 of 7 accepted" in seen
    assert "\n2 of 7" not in seen, "the line was written below the one before"


def test_a_log_gets_a_plain_line_now_and_then() -> None:
    log, now = io.StringIO(), [0.0]
    with ProgressLine(log, clock=lambda: now[0]) as line:
        for second in range(0, 40, 5):
            now[0] = float(second)
            line.update(f"after {second} s")
    assert log.getvalue() == "after 15 s\nafter 30 s\n"


def test_the_same_line_is_written_once_to_a_log() -> None:
    log, now = io.StringIO(), [0.0]
    with ProgressLine(log, clock=lambda: now[0]) as line:
        for second in (20, 40, 60):
            now[0] = float(second)
            line.update("waiting")
    assert log.getvalue() == "waiting\n"


def test_four_steps_follow_with_commands_that_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    installed = tmp_path / "bin" / "redraft"
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    commands = [step.split("  ")[-1].strip() for step in next_steps(4, str(installed))]
    example = os.path.relpath(ops("examples") / "code.md")
    assert commands == [
        f"bin/redraft submit {example} --wait",
        "bin/redraft history 4",
        "bin/redraft watch",
        "bin/redraft down",
    ]
    assert Path(example).is_file()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert program(str(installed)) == "redraft"


def test_the_hours_of_a_demo_job_end_it_on_no_machine() -> None:
    files = [str(path) for path in sorted(ops("demo").glob("*.md"))]
    jobs = read_jobs(files, Flags(seed=1), installed_rules(load_settings()), bytes)
    assert len(jobs.specs) == 7
    for spec in jobs.specs:
        budget = spec.budget
        # Two answers of 400 tokens an iteration, seven jobs at once, on an engine that writes one token a second.
        slowest = timedelta(seconds=budget.iterations * 2 * 400 * 7)
        assert timedelta(hours=budget.hours) > slowest, spec.title
        assert budget.iterations <= 12, spec.title
        assert not spec.memory, spec.title
