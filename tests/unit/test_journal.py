"""The recovery ladder of a degenerate answer, and that a resumed turn climbs on from where it was."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import pytest

from tasks.journal import JournalledModel, prompt_hash
from tasks.llm.scripted import ScriptedModel
from tasks.retries import ATTEMPTS, WARMER
from tasks.sampling import Sampling, call_seed
from tasks.types import CallKey, ChatRequest, Completion, Cut, GuardKind, Message, Operator, Prompt
from tests.corpus import words
from tests.doubles import Journal
from tests.turns import job_of, turn_of

KEY = CallKey(iteration=2, operator=Operator.DRAFT, slot=0, attempt=1)
LOOP = "A good start:\n" + "And so it goes on. " * 800
SAMPLING = Sampling(temperature=0.7, answer_tokens=2048)


def window(cut: Cut) -> Prompt:
    return Prompt(system="", prefix="Tell me. " * (4 >> cut.rest))


def ask(journal: Journal, answer: Callable[[ChatRequest], str], attempts: int = ATTEMPTS) -> Completion:
    model = JournalledModel(ledger=journal, model=ScriptedModel(answer), sampling=SAMPLING)  # type: ignore[arg-type]
    return model.ask(turn_of(job_of(seed=5)), KEY, window, attempts=attempts)


def requests(journal: Journal) -> list[ChatRequest]:
    return [request for request, _, _ in journal.calls.values()]


def elsewhere() -> Callable[[ChatRequest], str]:
    """Answers that fall into another loop at another place each time."""
    openings = (words.prose(random.Random(1), chars) for chars in (10, 800, 1_400))
    loops = zip(openings, ("And so on. ", "up, down! ", "left-right?\n"), strict=True)
    answers = (opening + 100 * loop for opening, loop in loops)
    return lambda request: next(answers)


def test_a_loop_is_asked_again_with_another_seed_and_warmer_and_then_with_a_shorter_window() -> None:
    journal = Journal()
    made = ask(journal, elsewhere())
    first, second, third = requests(journal)
    assert [key.attempt for key in journal.calls] == [1, 2, 3]
    assert [r.temperature for r in (first, second, third)] == pytest.approx([0.7, 0.7 + WARMER, 0.7 + WARMER])
    assert len({r.seed for r in (first, second, third)}) == 3
    assert first.messages == second.messages == window(Cut()).messages
    assert third.messages == window(Cut(prefix=1, rest=1)).messages
    assert made.guard is not None
    assert not any(request.runs_on for request in (first, second, third))


def test_an_answer_that_repeats_itself_at_the_same_place_each_time_gets_through_and_says_so() -> None:
    manifest = "Here are the shifts.\n" + "".join(f"Shift {n} begins at the north gate.\n" for n in range(1, 41))
    journal = Journal()
    made = ask(journal, lambda request: manifest)
    assert (made.text, made.guard, made.finish_reason) == (manifest, None, "stop")
    assert made.let_through is not None
    assert (made.let_through.kind, made.let_through.at_char) == (GuardKind.TEMPLATE, len("Here are the shifts.\n"))
    first, second, third = requests(journal)
    assert [request.runs_on for request in (first, second, third)] == [False, False, True]
    assert third.messages == window(Cut()).messages


def test_even_what_is_let_run_on_is_cut_where_exact_copies_cover_a_thousand_tokens() -> None:
    journal = Journal()
    made = ask(journal, lambda request: LOOP)
    assert made.guard is not None
    assert (made.text, made.let_through) == ("A good start:\n", None)
    assert made.completion_tokens <= 1_200


@pytest.mark.parametrize("good", [1, 2, 3])
def test_the_first_answer_without_a_loop_ends_the_ladder(good: int) -> None:
    journal = Journal()
    seed = call_seed(5, CallKey(iteration=2, operator=Operator.DRAFT, slot=0, attempt=good))
    made = ask(journal, lambda request: "An answer." if request.seed == seed else LOOP)
    assert len(journal.calls) == good
    assert (made.text, made.guard) == ("An answer.", None)


def test_the_loops_tokens_are_journalled_with_where_they_began() -> None:
    journal = Journal()
    ask(journal, lambda request: LOOP)
    assert len(journal.calls) == ATTEMPTS
    for _, _, made in journal.calls.values():
        assert made.guard is not None
        assert made.guard.at_char == len("A good start:\n")
        assert 0 < made.completion_tokens < len(LOOP) // 4 // 2


def test_a_caller_that_wants_no_ladder_gets_one_call() -> None:
    journal = Journal()
    assert ask(journal, lambda request: LOOP, attempts=1).guard is not None
    assert len(journal.calls) == 1


@pytest.mark.parametrize("journalled", [1, 2, 3])
def test_a_resumed_turn_asks_only_for_the_rungs_that_are_missing(journalled: int) -> None:
    whole, resumed = Journal(), Journal()
    first = ask(whole, lambda request: LOOP)
    resumed.calls = dict(list(whole.calls.items())[:journalled])
    asked: list[ChatRequest] = []

    def answer(request: ChatRequest) -> str:
        asked.append(request)
        return LOOP

    again = ask(resumed, answer)
    assert (again.text, again.guard) == (first.text, first.guard)
    assert [r.seed for r in asked] == [r.seed for r in requests(whole)[journalled:]]


def test_whether_an_answer_may_run_on_leaves_the_hash_as_it_was() -> None:
    request = ChatRequest(messages=(Message(role="user", content="a"),))
    assert prompt_hash(request) == "f9bc1759182638868331b7c48a2bbc1652a01a7a8ff47621c5ad6a30440f8061"
    assert prompt_hash(dataclasses.replace(request, runs_on=True)) == prompt_hash(request)


def test_the_hash_tells_prompts_and_samplings_apart() -> None:
    request = ChatRequest(messages=(Message(role="user", content="a"),))
    others = [dataclasses.replace(request, seed=1), dataclasses.replace(request, messages=())]
    assert prompt_hash(request) == prompt_hash(dataclasses.replace(request))
    assert len({prompt_hash(r) for r in [request, *others]}) == 3
    assert len(prompt_hash(request)) == 64
