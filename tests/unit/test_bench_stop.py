"""The bench of giving up: what a rule drops would have been solved, and patience trades it for tokens."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from types import ModuleType

import pytest

OPS = Path(__file__).parents[2] / "ops"
SEEDS = range(6)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("bench_stop")


@pytest.fixture
def chances(bench: ModuleType) -> ModuleType:
    return importlib.import_module("chances")


def reports(bench: ModuleType, impossible: float = 0.0, others: float = 0.0, **fields: object) -> object:
    return bench.Reports(impossible=impossible, others=others, **fields)


def test_a_play_goes_on_until_it_is_solved_or_its_iterations_are_spent(bench: ModuleType) -> None:
    for seed in SEEDS:
        lost = bench.play(bench.Task(chance=0.0, ceiling=0.5), str(seed), reports(bench))
        assert (lost.solved, len(lost.history), len(lost.tokens)) == (False, bench.ITERATIONS, bench.ITERATIONS + 1)
        won = bench.play(bench.Task(chance=1.0, ceiling=0.5), str(seed), reports(bench), decisive=True)
        assert (won.solved, won.tokens) == (True, (0, 2 * bench.DRAFT_TOKENS))


def test_a_blind_play_cut_at_its_first_right_candidate_is_the_one_with_a_checker(bench: ModuleType) -> None:
    for seed in SEEDS:
        for chance in (0.0, 0.1, 0.5):
            task, said = bench.Task(chance=chance, ceiling=0.5), reports(bench, 0.6, 0.1)
            blind = bench.play(task, str(seed), said)
            assert blind.decisive == bench.play(task, str(seed), said, decisive=True)


def test_an_impossible_task_ends_sooner_the_more_of_its_repairs_say_so(bench: ModuleType) -> None:
    task = bench.Task(chance=0.0, ceiling=0.0)
    ends = []
    for share in (0.0, 0.5, 1.0):
        plays = [bench.play(task, str(seed), reports(bench, share)) for seed in SEEDS]
        ends.append(sum(play.given_up(bench.ladders(15, 2)) for play in plays) / len(plays))
    assert ends[0] == 15
    assert 15 > ends[1] > ends[2] == 2, "two drafts, two repairs"


def test_a_repair_that_objects_is_no_candidate_and_costs_no_answer(bench: ModuleType) -> None:
    task = bench.Task(chance=0.0, ceiling=0.5)
    play = bench.play(task, "1", reports(bench, 1.0))
    repaired = play.history[1].candidates
    assert [(bool(c.objection), c.score, c.accepted) for c in repaired] == [(True, 0.0, False)] * 2
    assert play.tokens[2] - play.tokens[1] == 2 * bench.OBJECTION_TOKENS
    silent = bench.play(task, "1", reports(bench))
    assert silent.tokens[2] - silent.tokens[1] == 2 * (bench.DRAFT_TOKENS + bench.ANALYSIS_TOKENS)


def test_less_patience_saves_tokens_on_the_impossible_and_drops_more_of_the_solvable(bench: ModuleType) -> None:
    tasks = [bench.Task(chance=chance, ceiling=0.0) for chance in [0.05] * 8 + [0.9] * 8 + [0.0] * 8]

    def plays(said: object) -> list[object]:
        return [bench.play(t, f"{seed} {n}", said) for seed in SEEDS for n, t in enumerate(tasks)]

    silent = plays(reports(bench))
    (hasty, _), (patient, _) = (bench.by_rule(silent, bench.ladders(n, 2)) for n in (6, bench.ITERATIONS))
    assert hasty.impossible < patient.impossible
    assert hasty.dropped > patient.dropped == 0.0
    heard, blind = bench.by_rule(plays(reports(bench, 1.0)), bench.ladders(bench.ITERATIONS, 1))
    assert heard.impossible < hasty.impossible, "a finding that is never wrong costs no solvable task"
    assert heard.dropped == 0.0
    assert blind.impossible < heard.impossible, "blind, solvable tasks take more drafts until enough agree"


def test_no_rule_of_the_ladder_is_better_than_the_bound_that_knows_all(bench: ModuleType, chances: ModuleType) -> None:
    said = reports(bench, 0.6, 0.05)
    plays = bench.plays_of(chances.HUMANEVAL, said, 1)
    least, _ = bench.bound(plays, chances.HUMANEVAL, said)
    assert least.dropped <= bench.DROPPED
    for patience, objections in ((10, 1), (20, 2), (30, 1), (30, 2)):
        rule, _ = bench.by_rule(plays, bench.ladders(patience, objections))
        assert rule.dropped > bench.DROPPED or rule.impossible >= least.impossible - 0.005


def test_the_chances_have_the_shares_that_they_are_made_of(chances: ModuleType) -> None:
    made = chances.Chances.of(0.2, 0.45, 4)
    assert made.mean == pytest.approx(0.2)
    assert 1 - made.failed(4) == pytest.approx(0.45, abs=1e-6)
    assert made.hazard(3) == pytest.approx(1 - made.failed(4) / made.failed(3))
    draws = [made.draw(random.Random(n)) for n in range(4000)]
    assert sum(draws) / len(draws) == pytest.approx(0.2, abs=0.02)


def test_the_packaged_pool_gives_chances_with_its_own_share_of_right_drafts(
    bench: ModuleType, chances: ModuleType
) -> None:
    tasks = chances.drafts_of(bench.POOL).values()
    share = sum(sum(draft.right for draft in drafts) / len(drafts) for drafts in tasks) / len(tasks)
    made = chances.Chances.of_pool(bench.POOL)
    assert made.mean == pytest.approx(share)
    assert made.failed(1) > made.failed(4) > made.failed(60) > 0
