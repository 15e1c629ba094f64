"""The tables of a chaos run: what is counted, and what zeros are worth."""

from __future__ import annotations

from tests.chaos import report
from tests.chaos.contestant import Charge
from tests.chaos.rounds import Round


def played(fault: str = "worker killed", *charges: Charge, seconds: float | None = 2.0) -> Round:
    return Round(fault=fault, jobs=5, acts=2, cut_turns=1, lasted=1.0, seconds=seconds, charges=charges)


LOST = Charge(kind="lost", job=1, what="it never ended")


def test_a_line_a_fault_with_the_worst_of_its_rounds() -> None:
    lines = report.table([played(), played(seconds=7.25), played("nothing", seconds=None)]).splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["worker", "killed", "2", "10", "4", "2", "0", "0", "0", "7.2"],
        ["nothing", "1", "5", "2", "1", "0", "0", "0", "-"],
    ]


def test_a_job_of_which_two_things_are_lost_is_one_job() -> None:
    twice = played("worker killed", LOST, Charge(kind="lost", job=1, what="no lesson"))
    assert report.verdict([twice]).splitlines()[0] == "lost: 1 of 5 jobs"


def test_zeros_rule_out_three_in_n() -> None:
    assert "a rate above 6.00% of such jobs and 30.0% of such faults" in report.verdict([played()] * 10)


def test_plain_celery_stands_beside_the_faults_that_hit_it() -> None:
    ours, beside = [played(), played("relay killed")], [played("worker killed", LOST)]
    lines = report.table(ours, beside).splitlines()
    assert lines[1].split()[-5:] == ["5", "1", "0", "0", "2.0"]
    assert lines[2].split()[-5:] == ["-"] * 5
