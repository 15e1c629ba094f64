"""The bench beside OpenEvolve: what a side is credited with, that both are given the same, and that a peer's tokens end
at its budget."""

from __future__ import annotations

import dataclasses
import importlib
import json
import urllib.error
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tasks.types import Candidate, CandidateRef, Iteration, Operator, Verdict
from tests.standin import serve
from tests.turns import job_of

OPS = Path(__file__).parents[2] / "ops"


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("evolve_rows")


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("evolve_problems")


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("peers.counting")


def row(rows: ModuleType, side: str, *values: float | None, goal: str = "minimise", seed: int = 1) -> Any:
    made = [rows.Made(by="draft", tokens=100, value=value, said="") for value in values]
    fields = {"setup": "s", "problem": "tsp", "goal": goal, "start": 9.0, "seconds": 1.0}
    return rows.Row(**fields, side=side, seed=seed, made=made)


def verdict(value: float | None, said: str = "") -> Verdict:
    return Verdict(check="score:x", kind="score", passed=value is not None, score=1.0, value=value, feedback=said)


def candidate(slot: int, value: float | None) -> Candidate:
    ref = CandidateRef(iteration=1, slot=slot)
    return Candidate(ref=ref, root=ref, operator=Operator.DRAFT, text="x", verdicts=(verdict(value, "why\nnot"),))


def test_the_best_value_counts_and_what_nobody_improved_is_the_start(rows: ModuleType) -> None:
    assert row(rows, "evolve", 7.0, None, 8.0).best == 7.0
    assert row(rows, "evolve", 12.0, None).best == 9.0
    assert row(rows, "evolve", 12.0, 7.0, goal="maximise").best == 12.0


def test_tokens_of_answers_without_a_value_are_wasted(rows: ModuleType) -> None:
    one = row(rows, "evolve", 7.0, None, None)
    assert (one.tokens, one.wasted) == (300, 200)


def test_variants_and_what_they_gained_are_counted_apart(rows: ModuleType) -> None:
    one = row(rows, "evolve", 9.0, None, 7.0, 8.0, 6.0)
    kinds = ["mutate", "mutate", "vary", "vary", "mutate"]
    one = dataclasses.replace(one, made=[dataclasses.replace(c, by=by) for c, by in zip(one.made, kinds, strict=True)])
    [line] = [line for line in rows.text([one], ["evolve"], "title").splitlines() if line.strip().startswith("evolve")]
    assert line.split() == ["evolve", "1", "500", "20%", "3", "2", "1", "2", "2", "1"]


def test_equal_values_are_no_win_of_either_side(rows: ModuleType) -> None:
    for goal in ("minimise", "maximise"):
        same = row(rows, "evolve", 7.0, goal=goal), row(rows, "openevolve", 7.0, goal=goal)
        assert not same[0].is_better(same[1])
        assert not same[1].is_better(same[0])
    assert row(rows, "evolve", 7.0).is_better(row(rows, "openevolve", 8.0))
    assert not row(rows, "evolve", 10.0, goal="maximise").is_better(row(rows, "openevolve", 11.0, goal="maximise"))


def test_the_pairs_of_a_seed_are_compared_and_a_missing_run_is_none(rows: ModuleType) -> None:
    found = [
        row(rows, "evolve", 7.0),
        row(rows, "openevolve", 8.0),
        row(rows, "evolve", 9.5, seed=2),
        row(rows, "openevolve", None, seed=2),
        row(rows, "evolve", 5.0, seed=3),
    ]
    said = rows.text(found, ["evolve", "openevolve"], "title")
    assert "evolve is better than openevolve in 1 of 2 pairs, equal in 1, worse in 0: 50%" in said
    assert said.splitlines()[-1].startswith("evolve is better"), "one sentence for the one pair of sides"


def test_the_tokens_of_a_slot_are_its_candidates_and_what_the_guard_cut_is_wasted(rows: ModuleType) -> None:
    iteration = Iteration(number=1, operator=Operator.DRAFT, candidates=(candidate(0, 4.0), candidate(1, None)))
    calls = [
        {"iteration": 1, "slot": 0, "operator": "draft", "tokens": 10, "cut": True},
        {"iteration": 1, "slot": 0, "operator": "draft", "tokens": 20, "cut": False},
        {"iteration": 1, "slot": 1, "operator": "review", "tokens": 5, "cut": False},
        {"iteration": 1, "slot": 1, "operator": "revise", "tokens": 7, "cut": False},
        {"iteration": 2, "slot": 0, "operator": "mutate", "tokens": 3, "cut": False},
    ]
    given = dataclasses.replace(candidate(0, 9.0), operator=Operator.START)
    start = Iteration(number=3, operator=Operator.START, candidates=(given,))
    made = rows.made_by_calls(dataclasses.replace(job_of(), history=(iteration, start)), calls)
    assert [(one.tokens, one.value) for one in made] == [(10, None), (20, 4.0), (12, None), (3, None)]
    assert made[2].said == "why not"
    assert sum(one.tokens for one in made) == sum(call["tokens"] for call in calls)


def test_rows_are_read_as_they_were_written_and_a_torn_one_is_left_out(rows: ModuleType, tmp_path: Path) -> None:
    path, one = tmp_path / "rows.jsonl", row(rows, "evolve", 7.0, None)
    rows.append(path, one)
    with path.open("a") as file:
        file.write('{"setup": "s", "prob')
    rows.append(path, row(rows, "openevolve", 8.0))
    assert [(read.side, read.best) for read in rows.read_rows(path)] == [("evolve", 7.0), ("openevolve", 8.0)]
    assert rows.read_rows(path)[0] == one


def test_every_problem_is_scored_by_what_the_model_sees_and_ends_by_its_budget_alone(problems: ModuleType) -> None:
    for problem in problems.problems():
        job = problems.job_of(problem)
        [check] = job.checks
        assert (check.kind, check.held_out) == ("score", False)
        assert not {"target", "plateau"} & set(check.value)
        assert problem.start.strip() not in job.problem


def test_a_better_value_has_a_greater_share(problems: ModuleType) -> None:
    for problem in problems.problems():
        goal = problems.job_of(problem).checks[0].value["goal"]
        worse, better = (2.0, 2.5) if goal == "maximise" else (90.0, 50.0)
        assert 0 < problem.share(worse) < problem.share(better) <= 1


class Engine(serve.Handler):
    """Writes as many tokens as it may, and never more than 60."""

    def do_POST(self) -> None:
        tokens = min(60, self.asked()["max_tokens"])
        self.send({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": tokens}})


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


def test_a_peers_tokens_end_at_its_budget_and_its_candidates_belong_to_their_answers(counting: ModuleType) -> None:
    contest = counting.Contest(
        budget=100,
        evaluate=lambda text: verdict(float(text) if text.isdigit() else None, "no number"),
        share=lambda value: value / 10,
    )
    with serve.serving(Engine) as engine, counting.counting(lambda: f"{engine}/v1") as server:
        address = server.open("tsp-1", contest)
        assert post(f"{address}/evaluate", {"candidate": "3"}) == {"value": 3.0, "share": 0.3, "feedback": "no number"}
        post(f"{address}/v1/chat/completions", {"max_tokens": 4096})
        assert post(f"{address}/evaluate", {"candidate": "bad"})["share"] is None
        post(f"{address}/v1/chat/completions", {"max_tokens": 4096})
        assert not contest.spent.is_set()
        with pytest.raises(urllib.error.HTTPError, match="402"):
            post(f"{address}/v1/chat/completions", {"max_tokens": 4096})
    assert contest.spent.is_set()
    assert [answer.tokens for answer in contest.answers] == [60, 40]
    assert contest.start is not None
    assert contest.start.value == 3.0
    assert contest.answers[0].verdict is not None
    assert contest.answers[0].verdict.value is None
    assert contest.answers[1].verdict is None


def test_an_engine_that_is_away_costs_a_peer_no_tokens(counting: ModuleType) -> None:
    contest = counting.Contest(budget=100, evaluate=lambda text: verdict(1.0), share=lambda value: value)
    with serve.serving(Engine) as gone:
        pass
    for url in (f"{gone}/v1", ""):
        with counting.counting(lambda url=url: url) as server:
            address = server.open("tsp-1", contest)
            with pytest.raises(urllib.error.HTTPError, match="503"):
                post(f"{address}/v1/chat/completions", {"max_tokens": 4096})
    assert (contest.used, contest.spent.is_set()) == (0, False)
