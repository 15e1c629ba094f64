"""The page over all jobs: what it adds up, where it leads, and that no text of a job becomes more than text."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import timedelta
from decimal import Decimal

from tasks.types import JobState
from tests.hostiletexts import hostile_texts
from tests.unit.cli.test_page import JOB, NOON, Tags
from workers.bench.statistics import NOTHING, solve_rate
from workers.cli.page_all import page_all

FAILED = dataclasses.replace(
    JOB, job=18, title="Subtract", state=JobState.UNSOLVED, acceptance=None, finished_at=NOON + timedelta(minutes=3)
)
RATE = solve_rate({"a": [True], "b": [False]})


def test_the_page_adds_up_all_jobs_and_leads_to_each() -> None:
    made = page_all([FAILED, JOB], RATE, NOON)
    text = " ".join(Tags(made).text)
    assert "2 jobs of ada" in text
    assert "1 unsolved, 1 accepted" in text
    assert "50.0 % of the problems whose jobs have ended" in text
    assert f"{Decimal('0.08')}" in text
    assert made.index('<a href="job-18.html">18</a>') < made.index('<a href="job-17.html">17</a>')


def test_nobody_has_a_page_too() -> None:
    assert "There is no job." in Tags(page_all([], NOTHING, NOON)).text


def test_hostile_texts_stay_texts() -> None:
    texts = itertools.cycle(hostile_texts())
    jobs = [
        dataclasses.replace(
            JOB, job=number, title=next(texts), owner=next(texts), strategy=next(texts), tags=(next(texts), next(texts))
        )
        for number in range(1, 130)
    ]
    plain = [dataclasses.replace(JOB, job=number) for number in range(1, 130)]
    made = page_all(jobs, RATE, NOON)
    assert Tags(made).seen == Tags(page_all(plain, RATE, NOON)).seen
    assert "\x1b" not in made
    assert "\u202e" not in made
