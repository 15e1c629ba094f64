"""Strategies played from a pool: what is drawn, what it costs, what is accepted, and what is right."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tasks.escalation import NoCloud
from tasks.heartbeat import SilentHeartbeat
from tasks.journal import JournalledModel
from tasks.llm.scripted import ScriptedModel
from tasks.operators import Operators
from tasks.policy import BestOfN, Correct, Ladder, Single
from tasks.ports import Heartbeat, Strategy
from tasks.sampling import Sampling
from tasks.turn import Turn
from tasks.types import (
    Acceptance,
    ChatRequest,
    CheckSpec,
    Claim,
    Decision,
    Draft,
    Iteration,
    Limits,
    OpenIteration,
    Operator,
    Stop,
    StopCode,
    Verdict,
    unstored_job,
)
from tests.unit.bench.pools import HEADER, draft_of, pool_of, task_of
from workers.bench.deck import Deck, Terms
from workers.bench.pool import Pool
from workers.bench.record import draft_prompt
from workers.bench.replay import play
from workers.bench.runs import Run
from workers.bench.spending import Spending
from workers.bench.tasks import Mode
from workers.strategies import load_strategies


class Holds:
    """Passes an answer that holds the check's value."""

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        return tuple(
            Verdict(
                check=c.name,
                kind=c.kind,
                passed=c.value in candidate,
                score=float(c.value in candidate),
                held_out=c.held_out,
            )
            for c in checks
        )

    def behaviour(
        self, candidate: str, checks: Sequence[CheckSpec], inputs: Sequence[str], heartbeat: Heartbeat
    ) -> str | None:
        """The number that the code returns, where there are inputs."""
        return candidate.partition("return ")[2][:1] if inputs else None


class Last:
    """Drafts four, then accepts the last."""

    name = "last"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        if not history:
            return Draft(slots=4)
        return Stop(code=StopCode.ACCEPTED, detail="1.3", acceptance=Acceptance.VERIFIED)


def deck_of(
    marks: Sequence[str], mode: Mode = Mode.BLIND, *, tokens: int = 1_000, each: int = 100, width: int = 1,
    greedy: bool = True, answer: str = "1 and 2",
) -> Deck:  # fmt: skip
    return Deck(
        task=task_of("a"),
        pool=pool_of({"a": marks}, tokens=each),
        terms=Terms(mode=mode, tokens=tokens, width=width, greedy_first=greedy),
        model=ScriptedModel(lambda request: answer),
        checks=Holds(),  # type: ignore[arg-type]
        sampling=Sampling(answer_tokens=512, review_tokens=128),
    )


def run(strategy: Strategy, marks: Sequence[str], mode: Mode = Mode.BLIND, seed: int = 0, **terms: object) -> Run:
    return play(deck_of(marks, mode, **terms), strategy, seed)  # type: ignore[arg-type]


def test_single_takes_the_greedy_draft() -> None:
    found = run(Single(), ["vs", "", ""])
    assert (found.accepted, found.right, found.solved, found.calls) == (True, True, True, 1)
    assert (found.completion_tokens, found.prompt_tokens, found.seconds) == (100, 50, 2.0)


def test_without_greed_the_first_draft_is_drawn_and_the_greedy_one_never() -> None:
    drawn = {run(Single(), ["vs", "", ""], seed=seed, greedy=False).accepted for seed in range(20)}
    assert drawn == {False}


def test_every_draft_is_drawn_once_before_any_is_drawn_again() -> None:
    order = deck_of(["", "", "", ""]).order(3)
    drawn = [draft.draft for draft in itertools.islice(order, 7)]
    assert drawn[0] == 0
    assert sorted(drawn[1:4]) == sorted(drawn[4:7]) == [1, 2, 3]


def test_a_seed_repeats_its_draws_and_another_draws_otherwise() -> None:
    deck = deck_of([""] * 17)
    orders = [[draft.draft for draft in itertools.islice(deck.order(seed), 17)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_blind_accepts_what_the_examples_pass_and_the_scoring_checks_say_that_it_is_wrong() -> None:
    found = run(BestOfN(), ["", "v", "v"])
    assert (found.accepted, found.right, found.falsely_accepted, found.calls) == (True, False, True, 2)


def test_with_a_checker_only_a_right_answer_is_accepted() -> None:
    found = run(BestOfN(), ["v", "v", "s", "vs"], Mode.CHECKER)
    assert (found.solved, found.any_right) == (True, True)
    assert found.stop is StopCode.ACCEPTED


@pytest.mark.parametrize(("tokens", "calls"), [(100, 1), (101, 2), (250, 3), (1_000, 10)])
def test_no_call_is_begun_beyond_the_budget_and_the_last_is_cut(tokens: int, calls: int) -> None:
    found = run(BestOfN(), ["", "", ""], tokens=tokens)
    assert (found.completion_tokens, found.calls, found.stop) == (tokens, calls, StopCode.BUDGET_COMPLETION_TOKENS)


def test_a_draft_that_the_budget_cuts_short_passes_nothing() -> None:
    found = run(BestOfN(), ["", "vs", "vs"], tokens=150)
    assert (found.calls, found.accepted, found.any_right) == (2, False, False)


@pytest.mark.parametrize(("tokens", "calls"), [(700, 2), (600, 3), (512, 2)])
def test_slots_share_what_is_left_before_any_is_drawn(tokens: int, calls: int) -> None:
    """The first slot has 512 of them reserved: the second has 188, or 88 and is cut short, or none."""
    found = run(BestOfN(), ["", "vs", "vs"], tokens=tokens, width=2)
    assert (found.calls, found.solved) == (calls, True)


def test_a_slot_is_drawn_again_after_a_degenerate_draft_and_pays_for_both() -> None:
    found = run(Single(), ["g", "vs", "vs"])
    assert (found.calls, found.degenerate, found.completion_tokens, found.solved) == (2, 1, 200, True)
    found = run(Single(), ["g", "g", "g"])
    assert (found.calls, found.degenerate, found.accepted, found.any_right) == (3, 3, False, False)


def test_the_candidate_that_the_stop_names_is_the_answer() -> None:
    seen = {run(Last(), ["vs", "v", "v", "vs"], seed=seed, tokens=4_000).right for seed in range(30)}
    assert seen == {True, False}
    found = run(Last(), ["vs", "v", "v", "v"], tokens=4_000)
    assert (found.right, found.any_right) == (False, True)


def test_what_is_no_draft_is_answered_by_the_model_and_paid_for() -> None:
    found = run(Correct(), ["", "", ""], tokens=2_000)
    assert (found.accepted, found.right, found.iterations) == (True, True, 2)
    assert found.calls == 3  # the draft, the review, the revision
    assert found.completion_tokens == 100 + 2 * (len("1 and 2") // 4)


def test_a_revision_that_the_scoring_checks_reject_is_no_solution() -> None:
    found = run(Correct(), ["", "", ""], tokens=2_000, answer="1 and 3")
    assert (found.accepted, found.right, found.any_right) == (True, False, False)


def test_answers_that_were_rejected_before_are_counted_as_repeated() -> None:
    found = run(BestOfN(), ["", ""], tokens=500)
    assert (found.calls, found.repeated_tokens) == (5, 300)


def code(number: int, remark: str) -> str:
    return f"```python\ndef f(x):\n    y = {remark!r}\n    return {number}\n```"


def programs(returned: Sequence[int], wanted: int, asked: list[ChatRequest], *, remark: str = "draft {}") -> Deck:
    """Drafts that all pass the examples and return these numbers, of which `wanted` is right; no two are the same
    code, unless the `remark` has no place for the draft's number."""
    check = CheckSpec(name="python:t.py", kind="python", value="t.py", files={"t.py": "from solution import f"})
    drafts = [
        draft_of("a", number, "vs" if value == wanted else "v", text=code(value, remark.format(number)))
        for number, value in enumerate(returned)
    ]

    def answer(request: ChatRequest) -> str:
        asked.append(request)
        return "f(1)\nf(2)"

    task = task_of("a")
    return Deck(
        task=replace(task, spec=replace(task.spec, checks=(replace(check, name="answer"),))),
        pool=Pool(header=HEADER, drafts={(draft.task, draft.draft): draft for draft in drafts}),
        terms=Terms(mode=Mode.BLIND, tokens=4_000, width=1),
        model=ScriptedModel(answer),
        checks=Holds(),  # type: ignore[arg-type]
        sampling=Sampling(answer_tokens=512, review_tokens=128),
    )


def test_a_probe_tells_candidates_apart_and_the_largest_cluster_is_the_answer() -> None:
    asked = list[ChatRequest]()
    deck = programs([1, 7, 7, 7, 7, 7], 7, asked)
    found = play(deck, Ladder(), 0)
    assert (found.accepted, found.right, found.any_right) == (True, True, True)
    assert (len(asked), found.calls) == (1, found.iterations)
    blind_luck = play(programs([1, 7, 7, 7, 7, 7], 1, asked), Ladder(), 0)
    assert (blind_luck.right, blind_luck.any_right) == (False, True)


def test_what_a_probe_asks_is_the_same_for_every_seed_and_in_every_iteration() -> None:
    asked = list[ChatRequest]()
    deck = programs([7, 1, 7, 1, 7, 7], 7, asked, remark="one draft")
    runs = [play(deck, Ladder(agree=4), seed) for seed in range(9)]
    assert len({run.iterations for run in runs}) > 2, "they ask at other times"
    assert len({request.seed for request in asked}) == 1


def test_a_budget_that_ends_in_the_middle_chooses_among_what_passed() -> None:
    deck = programs([7, 1, 7, 1, 7, 1], 7, [])
    found = play(replace_terms(deck, tokens=250), Ladder(), 0)
    assert (found.accepted, found.stop) == (True, StopCode.ACCEPTED)


def replace_terms(deck: Deck, **terms: object) -> Deck:
    return replace(deck, terms=replace(deck.terms, **terms))  # type: ignore[arg-type]


@pytest.mark.parametrize("move", [Draft(slots=1), Draft(slots=1, restart=True)])
def test_every_draft_of_a_job_is_asked_for_in_the_words_of_the_recorded_ones(move: Draft) -> None:
    """Else a draft of the pool would stand for an answer to another prompt."""
    asked = list[ChatRequest]()

    def answer(request: ChatRequest) -> str:
        asked.append(request)
        return "ANSWER: 1"

    spending = Spending(1_000)
    model = JournalledModel(ledger=spending, model=ScriptedModel(answer), sampling=Sampling())
    spec = task_of("a").spec
    iteration = OpenIteration(number=2, move=move)
    job = replace(
        unstored_job(spec), open=iteration, history=(Iteration(number=1, operator=Operator.DRAFT, candidates=()),)
    )
    turn = Turn(
        claim=Claim(job=0, epoch=1, worker="w", turn="t"), job=job, lanes=frozenset(), heartbeat=SilentHeartbeat()
    )
    Operators(model=model, cloud=NoCloud()).attempt(turn, iteration)
    assert [request.messages for request in asked] == [draft_prompt(spec).messages]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("marks", [["", "", "", ""], ["v", "v", "vs", ""], ["g", "", "v", "vs"]], ids=str)
@pytest.mark.parametrize("name", sorted(load_strategies().working))
def test_every_installed_strategy_can_be_played(name: str, marks: Sequence[str], mode: Mode) -> None:
    """Whatever moves it makes: within its budget, and to an end."""
    strategy = load_strategies().working[name]
    for answer in ("1 and 2", "neither"):
        found = run(strategy, marks, mode, tokens=1_500, width=2, answer=answer)
        assert 0 < found.completion_tokens <= 1_500
        assert found.strategy == name
        assert not (found.falsely_accepted and mode is Mode.CHECKER)
