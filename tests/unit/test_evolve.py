"""The strategies `evolve` and `climb`: what they do next, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from tasks.policy import Climb, Evolve
from tasks.policy.population import ISLANDS, islands
from tasks.ports import Strategy
from tasks.types import (
    Candidate,
    CandidateRef,
    Decision,
    Draft,
    Egress,
    Escalate,
    EscalationKind,
    Goal,
    GuardKind,
    Iteration,
    Mutate,
    Operator,
    Revise,
    Stop,
    StopCode,
)
from tests.landscapes import HILL, LONG, Landscape, Run, explore
from tests.unit.test_ladder import LIMITS


def test_the_first_drafts_take_a_quarter_of_a_small_budget_at_most() -> None:
    def drafts(completion_tokens: int | None) -> Decision:
        budget = dataclasses.replace(LIMITS.budget, completion_tokens=completion_tokens)
        limits = dataclasses.replace(LIMITS, goal=Goal(), width=2, budget=budget)
        said = [
            Candidate(
                ref=CandidateRef(iteration=1, slot=slot),
                operator=Operator.DRAFT,
                text=f"{slot}" * 1_000,
                revision=0,
                root=CandidateRef(iteration=1, slot=slot),
            )
            for slot in range(2)
        ]
        return Evolve().decide([Iteration(number=1, operator=Operator.DRAFT, candidates=tuple(said))], limits)

    assert isinstance(drafts(None), Draft)
    assert isinstance(drafts(2_000), Draft)
    assert isinstance(drafts(1_999), Revise)


def test_another_seed_chooses_other_parents() -> None:
    run = explore(Evolve(), HILL, seed=1, width=4, iterations=6)
    chosen = {
        Evolve().decide(run.history, dataclasses.replace(LIMITS, goal=Goal(), width=4, seed=seed)).parents  # type: ignore[union-attr]
        for seed in range(8)
    }
    assert len(chosen) > 1


@pytest.mark.parametrize(("width", "least"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_half_of_several_slots_change_the_best_and_the_others_are_drawn(width: int, least: int) -> None:
    run = explore(Evolve(), HILL, seed=1, width=width, iterations=9)
    best = max(run.candidates, key=lambda candidate: candidate.rank).ref
    drawn, history = [], run.history[: max(4, best.iteration)]
    for seed in range(12):
        limits = dataclasses.replace(LIMITS, goal=Goal(), width=width, seed=seed)
        decision = Evolve().decide(history, limits)
        assert isinstance(decision, Mutate)
        assert decision.parents[:least] == (best,) * least
        drawn += decision.parents[least:]
    assert len(set(drawn)) > 1, "the rest depends on the seed"


def test_long_parents_are_edited_and_short_ones_are_written_again() -> None:
    short, long = (explore(Evolve(), landscape, iterations=12) for landscape in (HILL, LONG))
    assert {d.edits for d in short.decisions if isinstance(d, Mutate)} == {False}
    assert {d.edits for d in long.decisions if isinstance(d, Mutate)} == {True}
    edited = [c for c in long.candidates if c.operator is Operator.EDIT]
    assert all("<<<<<<<" not in c.text and c.text.count("# line") == LONG.lines for c in edited)


def test_a_model_that_writes_the_whole_answer_instead_of_edits_is_understood() -> None:
    run = explore(Evolve(), LONG, edits="whole")
    assert all(c.fitness is not None for c in run.candidates)
    assert run.best > -0.1


def test_where_most_edits_are_refused_answers_are_written_again_whole() -> None:
    run = explore(Climb(), LONG, edits="refused", iterations=9)
    assert [d.edits for d in run.decisions if isinstance(d, Mutate)] == [True, True, *[False] * 6]
    refused = [c for c in run.candidates if c.operator is Operator.EDIT]
    assert all("x is wrong" in c.text and c.fitness is None for c in refused)
    assert not any(isinstance(decision, Revise) for decision in run.decisions), "edits are no answer to repair"


FLAT = Landscape(height=lambda x: 0.0, first=(-1, 1), elsewhere=(-1, 1))


def test_an_answer_of_several_files_is_never_asked_for_as_edits_of_its_text() -> None:
    history = explore(Climb(), LONG, iterations=3).history
    limits = dataclasses.replace(LIMITS, goal=Goal(), files=True)
    assert not Climb().decide(history, limits).edits  # type: ignore[union-attr]
    assert Climb().decide(history, dataclasses.replace(limits, files=False)).edits  # type: ignore[union-attr]


def turns(run: Run) -> list[str]:
    return ["restart" if isinstance(d, Draft) and d.restart else type(d).__name__.lower() for d in run.decisions]


def test_without_gain_it_gets_warmer_goes_to_other_islands_and_takes_another_plan() -> None:
    run = explore(Evolve(), FLAT, width=4, iterations=19)
    assert turns(run) == ["draft", *["mutate"] * 8, "restart", *["mutate"] * 8, "restart", "stop"]
    changes = [d for d in run.decisions if isinstance(d, Mutate)]
    assert [d.warmth for d in changes[:8]] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert run.author.warmth[4 : 4 + 8 * 4 : 4] == [0, 0, 1, 1, 2, 2, 3, 3]
    best = next(c.ref for c in run.candidates)
    roots = {c.ref: c.root for c in run.candidates}
    assert best in {roots[ref] for d in changes[:4] for ref in d.parents}
    assert best not in {roots[ref] for d in changes[4:8] for ref in d.parents}
    young = {c.ref for c in run.history[9].candidates}
    assert young & {roots[ref] for d in changes[8:12] for ref in d.parents}, "a fresh start has its chance"


def test_a_gain_within_the_noise_is_none() -> None:
    noisy = Landscape(height=lambda x: x / 100, first=(-1, 1), elsewhere=(-1, 1))
    run = explore(Evolve(), noisy, width=4, iterations=10, goal=Goal(noise=0.5))
    assert turns(run)[-2] == "restart"
    improved = explore(Evolve(), noisy, width=4, iterations=10)
    assert "restart" not in turns(improved)


@pytest.mark.parametrize("strategy", [Evolve(), Climb()])
def test_it_ends_at_the_target_and_not_at_the_first_valid_candidate(strategy: Strategy) -> None:
    run = explore(strategy, HILL, goal=Goal(target=-0.5), seed=3)
    stop = run.decisions[-1]
    assert isinstance(stop, Stop)
    assert (stop.code, stop.value) == (StopCode.ACCEPTED, run.best)
    assert stop.detail in {str(candidate.ref) for candidate in run.history[-1].candidates}
    assert len(run.history) > 4
    assert run.best >= -0.5


def test_before_a_plateau_ends_the_job_there_is_time_for_another_plan() -> None:
    run = explore(Evolve(), FLAT, width=4, goal=Goal(plateau_iterations=6))
    assert turns(run) == ["draft", "mutate", "mutate", "mutate", "restart", "mutate", "mutate", "stop"]
    assert run.decisions[-1].code is StopCode.PLATEAU  # type: ignore[union-attr]


def test_help_is_asked_for_once_instead_of_a_fresh_start() -> None:
    history = explore(Evolve(), FLAT, width=4, iterations=9).history
    limits = dataclasses.replace(LIMITS, goal=Goal(), width=4, egress=Egress.HINT)
    why = "no better score in 8 iterations"
    assert Evolve().decide(history, limits) == Escalate(kind=EscalationKind.HINT, why=why)
    asked = [*history, Iteration(number=10, operator=Operator.HINT, candidates=(), hint="Try a larger x.")]
    decision = Evolve().decide(asked, limits)
    assert isinstance(decision, Draft)
    assert decision.restart


def test_a_job_that_would_end_at_its_plateau_asks_for_help_before() -> None:
    run = explore(Evolve(), FLAT, width=4, goal=Goal(plateau_iterations=6), egress=Egress.FULL)
    assert turns(run)[:5] == ["draft", "mutate", "mutate", "mutate", "escalate"]
    assert run.decisions[4].why == "no better score in 3 iterations"  # type: ignore[union-attr]


def one(number: int, text: str, fitness: float | None = None, **fields: object) -> Candidate:
    ref = CandidateRef(iteration=number, slot=0)
    values = {"operator": Operator.DRAFT, "root": ref, "fitness": fitness, **fields}
    return Candidate(ref=ref, text=text, **values)  # type: ignore[arg-type]


def past(*candidates: Candidate) -> list[Iteration]:
    return [Iteration(number=c.ref.iteration, operator=c.operator, candidates=(c,)) for c in candidates]


SCORED = dataclasses.replace(LIMITS, goal=Goal(), width=1)


def test_an_island_is_a_lineage_and_only_the_best_ones_live() -> None:
    drafts = [one(n, f"answer number {n}", float(n)) for n in range(1, 8)]
    child = one(8, "another text of it", 9.0, root=drafts[0].ref, parent=drafts[0].ref, revision=1)
    again = dataclasses.replace(child, ref=CandidateRef(iteration=9, slot=0), fitness=8.0)
    living = islands(past(*drafts, child, again), SCORED, frozenset())
    assert [[member.ref.iteration for member in island] for island in living] == [[8, 1], [7], [6], [5]]
    assert len(living) == ISLANDS
    spared = islands(past(*drafts, child), SCORED, frozenset({drafts[2].ref}))
    assert [island[0].ref.iteration for island in spared] == [8, 7, 6, 3]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], Draft(slots=1)),
        (past(*(one(n, f"text {n}") for n in range(1, 5))), Revise),
        (past(*(one(n, f"text {n}", guard=GuardKind.CYCLE) for n in range(1, 5))), Draft),
        (past(*(one(n, "") for n in range(1, 5))), Draft),
        (past(one(1, "text"), one(2, "text", repeats=CandidateRef(iteration=1, slot=0))), Revise),
        (past(*(one(n, f"text {n}", 1.0) for n in range(1, 5))), Mutate),
    ],
)
def test_it_begins_with_drafts_and_repairs_what_a_check_refused(
    history: Sequence[Iteration], expected: Decision | type[Decision]
) -> None:
    decision = Evolve().decide(history, SCORED)
    assert decision == expected or (isinstance(expected, type) and isinstance(decision, expected))


def test_where_even_the_repairs_are_refused_it_takes_another_plan() -> None:
    drafts = [one(n, f"text {n}") for n in range(1, 5)]
    repairs = [
        one(n + 4, f"repair {n}", root=d.ref, parent=d.ref, revision=1, operator=Operator.REVISE)
        for n, d in enumerate(drafts, 1)
    ]
    decision = Evolve().decide(past(*drafts, *repairs), SCORED)
    assert decision == Draft(slots=1, restart=True, avoid=tuple(d.ref for d in drafts), why="nothing is valid")


@pytest.mark.parametrize(("refused", "expected"), [(1, True), (2, False)])
def test_a_model_whose_repairs_fail_is_not_asked_for_more_where_something_is_valid(
    refused: int, expected: bool
) -> None:
    start = one(1, "the start", 1.0, operator=Operator.START)
    drafts = [one(n, f"text {n}") for n in range(2, 7)]
    repairs = [
        one(n, f"repair {n}", root=d.ref, parent=d.ref, revision=1, operator=Operator.REVISE)
        for n, d in enumerate(drafts[:refused], 7)
    ]
    assert isinstance(Evolve().decide(past(start, *drafts, *repairs), SCORED), Revise) is expected


def test_a_repair_that_helped_keeps_repairs_going() -> None:
    start = one(1, "the start", 1.0, operator=Operator.START)
    drafts = [one(n, f"text {n}") for n in range(2, 8)]
    repairs = [
        one(n, f"repair {n}", 2.0 if n == 10 else None, root=d.ref, parent=d.ref, revision=1, operator=Operator.REVISE)
        for n, d in enumerate(drafts[:4], 8)
    ]
    decision = Evolve().decide(past(start, *drafts, *repairs), SCORED)
    assert isinstance(decision, Revise)
    assert decision.parents == (drafts[4].ref,)


def test_a_job_without_a_score_is_evolved_by_its_checks() -> None:
    plain = dataclasses.replace(LIMITS, width=1)
    drafts = [one(n, f"text {n}", score=n / 10) for n in range(1, 5)]
    decision = Evolve().decide(past(*drafts), plain)
    assert isinstance(decision, Mutate)
    assert decision.inspirations[0] == drafts[3].ref
    right = one(5, "right", accepted=True, score=1.0)
    assert Evolve().decide(past(*drafts, right), plain).code is StopCode.ACCEPTED  # type: ignore[union-attr]
    idle = [one(n, f"more {n}", operator=Operator.RESTART if n % 4 else Operator.MUTATE) for n in range(5, 30)]
    stop = Evolve().decide(past(*drafts, *idle), plain)
    assert isinstance(stop, Stop)
    assert stop.code is StopCode.NO_GAIN


def test_inspirations_are_the_best_and_the_least_alike() -> None:
    texts = {1: "sort the items by size and place each where it fits", 2: "sort the items by size and place each last"}
    texts |= {3: "sort the items by size and place them where it fits", 4: "anneal from a random start"}
    decision = Evolve().decide(past(*(one(n, text, 10.0 - n) for n, text in texts.items())), SCORED)
    assert isinstance(decision, Mutate)
    assert [ref.iteration for ref in decision.inspirations] == [1, 2, 4, 3]


def test_other_moves_of_a_plug_in_leave_the_population_as_it_is() -> None:
    drafts = [one(n, f"text number {n}", float(n)) for n in range(1, 5)]
    merged = one(5, "merged", 9.0, operator=Operator.AGGREGATE)
    assert isinstance(Evolve().decide(past(*drafts, merged), SCORED), Mutate)
