"""The bench of giving up: what a rule drops would have been solved, and patience trades it for tokens."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

OPS = Path(__file__).parents[2] / "ops"
SEEDS = range(12)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("bench_stop")


def rule(bench: ModuleType, patience: int, *, objections: int = 2, reports: tuple[float, float] = (0.0, 0.0)) -> object:
    return bench.Rule(patience=patience, objections=objections, reports=reports)


def shares(row: tuple[str, ...]) -> tuple[float, float]:
    """Tokens on the impossible, and solvable tasks dropped, in percent."""
    return float(row[3].rstrip("%")), float(row[4].rstrip("%"))


def test_a_play_goes_on_until_it_is_solved_or_its_iterations_are_spent(bench: ModuleType) -> None:
    for seed in SEEDS:
        lost = bench.play(bench.Task(chance=0.0, ceiling=0.5), str(seed), width=2, decisive=True)
        assert (lost.solved, len(lost.history), len(lost.tokens)) == (False, bench.ITERATIONS, bench.ITERATIONS + 1)
        won = bench.play(bench.Task(chance=1.0, ceiling=0.5), str(seed), width=2, decisive=True)
        assert (won.solved, won.tokens) == (True, (0, 2 * bench.DRAFT_TOKENS))


def test_an_impossible_task_ends_sooner_the_more_of_its_repairs_say_so(bench: ModuleType) -> None:
    lost = [bench.play(bench.Task(chance=0.0, ceiling=0.0), str(seed), width=2, decisive=True) for seed in SEEDS]
    ends = [
        sum(play.given_up(rule(bench, 15, reports=(share, 0.0))) for play in lost) / len(lost)
        for share in (0.0, 0.5, 1.0)
    ]
    assert ends[0] == 15
    assert 15 > ends[1] > ends[2] == 3, "two drafts, two more, two repairs"


def test_less_patience_saves_tokens_on_the_impossible_and_drops_more_of_the_solvable(bench: ModuleType) -> None:
    chances = [0.05] * 8 + [0.9] * 8 + [0.0] * 8
    plays = [
        bench.play(bench.Task(chance=chance, ceiling=0.0), f"{seed} {number}", width=2, decisive=True)
        for seed in SEEDS
        for number, chance in enumerate(chances)
    ]
    hasty, patient = (shares(bench.row(plays, rule(bench, patience))) for patience in (6, bench.ITERATIONS))
    assert hasty[0] < patient[0]
    assert hasty[1] > patient[1] == 0.0
    heard = shares(bench.row(plays, rule(bench, bench.ITERATIONS, objections=1, reports=(1.0, 0.0))))
    assert heard[0] < hasty[0], "a finding that is never wrong costs no solvable task"
    assert heard[1] == 0.0
