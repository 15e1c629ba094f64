"""Rates over tasks with intervals, and paired differences."""

from __future__ import annotations

import pytest

from tasks.types import StopCode
from workers.bench.runs import Run
from workers.bench.statistics import NOTHING, rate_difference, solve_rate, summarize
from workers.bench.tasks import Mode


def run_of(task: int, strategy: str, *, accepted: bool, right: bool, any_right: bool = False, tokens: int = 100) -> Run:
    return Run(
        task=f"t{task:02}",
        strategy=strategy,
        seed=0,
        mode=Mode.BLIND,
        accepted=accepted,
        right=right,
        any_right=any_right or right,
        calls=2,
        degenerate=1,
        iterations=1,
        prompt_tokens=10,
        completion_tokens=tokens,
        repeated_tokens=25,
        seconds=3.0,
        stop=StopCode.ACCEPTED,
    )


def test_rates_are_shares_of_runs_and_tokens_are_for_each_solved_one() -> None:
    runs = [run_of(n, "one", accepted=n < 6, right=n < 4, any_right=n < 5) for n in range(10)]
    (found,) = summarize(runs)
    assert found.solved.value == 0.4
    assert found.false_accepted.value == pytest.approx(2 / 6)
    assert found.coverage.value == 0.5
    assert found.chosen.value == 0.8
    assert found.tokens_per_solved.value == pytest.approx(1_000 / 4)
    assert found.seconds_per_solved.value == pytest.approx(30 / 4)
    assert (found.tokens, found.looped, found.repeated) == (100, 0.5, 0.25)


def test_the_interval_is_that_of_the_binomial_where_each_task_has_one_run() -> None:
    runs = [run_of(n, "one", accepted=True, right=n % 2 == 0) for n in range(100)]
    (found,) = summarize(runs)
    assert found.solved.low == pytest.approx(0.40, abs=0.015)
    assert found.solved.high == pytest.approx(0.60, abs=0.015)


def test_a_paired_difference_is_sure_where_two_rates_alone_are_not() -> None:
    """Both fail on the same half of the tasks: what differs are ten tasks of a hundred, all in one direction."""
    runs = [run_of(n, "base", accepted=True, right=n < 50) for n in range(100)]
    runs += [run_of(n, "more", accepted=True, right=n < 60) for n in range(100)]
    base, more = summarize(runs, ["base"])
    difference = more.differences["base"]
    assert difference.value == pytest.approx(0.10)
    assert difference.low is not None
    assert 0.03 < difference.low < 0.06
    assert (base.solved.high or 0) > (more.solved.low or 1), "apart they would say nothing"
    assert base.differences == {}


def test_a_strategy_is_compared_with_its_own_twin_alone() -> None:
    runs = [run_of(n, "plain", accepted=True, right=n < 4) for n in range(10)]
    runs += [run_of(n, "plain, taught", accepted=True, right=n < 7) for n in range(10)]
    plain, taught = summarize(runs, twins={"plain, taught": "plain"})
    assert taught.twin is not None
    assert taught.twin.value == pytest.approx(0.3)
    assert (plain.twin, plain.differences, taught.differences) == (None, {}, {})


def test_more_runs_of_a_task_do_not_make_more_tasks() -> None:
    once = [run_of(n, "one", accepted=True, right=n % 2 == 0) for n in range(20)]
    assert summarize(once)[0].solved == summarize(once * 50)[0].solved


def test_nothing_solved_has_no_tokens_for_each_solved() -> None:
    (found,) = summarize([run_of(n, "one", accepted=False, right=False) for n in range(5)])
    assert (found.tokens_per_solved.value, found.false_accepted.value, found.chosen.value) == (None, None, None)


def test_a_strategy_without_a_run_on_a_task_is_refused() -> None:
    runs = [run_of(n, "one", accepted=True, right=True) for n in range(3)]
    with pytest.raises(ValueError, match="two has no run on t01, t02"):
        summarize([*runs, run_of(0, "two", accepted=True, right=True)])


def test_a_problem_counts_once_however_many_runs_it_has() -> None:
    found = solve_rate({"a": [True] * 9, "b": [False]})
    assert found.value == 0.5
    assert (found.low, found.high) == (0.0, 1.0)
    assert solve_rate({}) == NOTHING


def test_one_problem_alone_has_the_interval_of_its_runs() -> None:
    found = solve_rate({"a": [True] * 10})
    assert found.value == 1.0
    assert found.low == pytest.approx(0.7225, abs=1e-3)  # Wilson, 10 of 10
    assert found.high == 1.0


def test_a_difference_is_paired_over_the_tasks_of_both_sides() -> None:
    """Ten problems of a hundred differ, all in one direction; twenty more stand on one side only."""
    base = {f"t{n}": [n < 50] for n in range(100)}
    more = {f"t{n}": [n < 60] for n in range(100)} | {f"u{n}": [False] for n in range(20)}
    found = rate_difference(more, base)
    assert found.value == pytest.approx(0.10)
    assert found.low is not None
    assert 0.03 < found.low < 0.06
    opposite = rate_difference(base, more)
    assert opposite.value == pytest.approx(-0.10)
    assert opposite.high is not None
    assert opposite.high < 0


def test_a_difference_between_other_problems_is_less_sure_than_a_paired_one() -> None:
    base = {f"t{n}": [n < 50] for n in range(100)}
    paired = rate_difference({f"t{n}": [n < 60] for n in range(100)}, base)
    other = rate_difference({f"o{n}": [n < 60] for n in range(100)}, base)
    assert other.value == pytest.approx(0.10)
    assert other.low is not None
    assert other.high is not None
    assert (other.low, other.high) == (pytest.approx(-0.04, abs=0.02), pytest.approx(0.24, abs=0.02))
    assert paired.low is not None
    assert other.low < 0 < paired.low


def test_a_difference_of_one_problem_alone_has_newcombes_interval() -> None:
    """56 of 70 and 48 of 80: the example of Newcombe's paper (Statistics in Medicine 17, 1998, table II a)."""
    found = rate_difference({"p": [True] * 56 + [False] * 14}, {"p": [True] * 48 + [False] * 32})
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))
    assert rate_difference({}, {"p": [True]}) == NOTHING
