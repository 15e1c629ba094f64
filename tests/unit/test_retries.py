"""The attempts at one model call, and how each is sampled."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.prompts.layout import WHOLE
from tasks.repetition import same_place
from tasks.retries import ATTEMPTS, CHOICE_TOKENS, HALVED, WARMER, WARMTH, Attempt, RetryLadder
from tasks.sampling import Sampling, call_seed, drawn
from tasks.types import CallKey, CandidateRef, Completion, GuardHit, GuardKind, Operator, Prompt

SAMPLING = Sampling(
    temperature=0.5, top_p=0.8, top_k=7, answer_tokens=900, review_tokens=300, lesson_tokens=90, thinking_tokens=50
)
KEY = CallKey(iteration=4, operator=Operator.DRAFT, slot=2, attempt=1)
HIT = GuardHit(kind=GuardKind.CYCLE, at_char=3, copies=5, period_chars=2)
SOUND = Completion(
    text="ok", finish_reason="stop", model="m", prompt_tokens=1, cached_tokens=0, completion_tokens=1, seconds=0.1
)
DEGENERATE = dataclasses.replace(SOUND, guard=HIT)
LOST = dataclasses.replace(SOUND, text=" \n", reasoning="hm")


def ladder(**fields: object) -> RetryLadder:
    return RetryLadder(**{"key": KEY, "seed": 11, "draw": 1, "sampling": SAMPLING, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operator", "tokens", "thoughts"),
    [
        (Operator.DRAFT, 900, 50),
        (Operator.REVISE, 900, 50),
        (Operator.REVIEW, 300, 50),
        (Operator.JUDGE, 300, 50),
        (Operator.DISTIL, 90, 0),
    ],
)
def test_each_operator_has_its_own_tokens(operator: Operator, tokens: int, thoughts: int) -> None:
    assert SAMPLING.completion_tokens(operator) == tokens
    assert SAMPLING.reasoning_tokens(operator) == thoughts


def test_a_seed_is_a_number_of_31_bits_that_each_part_of_the_call_changes() -> None:
    assert call_seed(11, KEY) == 1_007_620_450
    others = [
        dataclasses.replace(KEY, **changed)  # type: ignore[arg-type]
        for changed in ({"iteration": 5}, {"operator": Operator.REVISE}, {"slot": 3}, {"attempt": 2})
    ]
    seeds = [call_seed(11, KEY), call_seed(12, KEY), *(call_seed(11, key) for key in others)]
    assert len(set(seeds)) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_sound_completion_ends_the_attempts() -> None:
    assert ladder().after(ladder().first(), SOUND) is None


@pytest.mark.parametrize("bad", [DEGENERATE, LOST])
def test_three_attempts_are_made_the_last_with_a_shorter_prompt(bad: Completion) -> None:
    rungs = ladder(key=dataclasses.replace(KEY, operator=Operator.REVIEW))
    first = rungs.first()
    second = rungs.after(first, bad)
    assert second is not None
    third = rungs.after(second, bad)
    assert third is not None
    assert rungs.after(third, bad) is None
    assert [attempt.key.attempt for attempt in (first, second, third)] == [1, 2, 3] == list(range(1, ATTEMPTS + 1))
    assert [attempt.cut for attempt in (first, second, third)] == [WHOLE, WHOLE, HALVED]
    assert [attempt.retries for attempt in (first, second, third)] == [0, 1, 2]


def test_a_change_of_what_repeats_itself_runs_on_at_each_attempt() -> None:
    rungs = ladder(runs_on=True)
    attempts = climb(rungs, DEGENERATE, DEGENERATE, DEGENERATE)
    assert [(attempt.runs_on, attempt.cut) for attempt in attempts] == [(True, WHOLE)] * ATTEMPTS
    assert rungs.after(rungs.first(), SOUND) is None


def hit_at(at_char: int, unit: str = "", kind: GuardKind = GuardKind.TEMPLATE) -> Completion:
    hit = GuardHit(kind=kind, at_char=at_char, copies=12, period_chars=40, unit=unit)
    return dataclasses.replace(SOUND, guard=hit)


def climb(rungs: RetryLadder, *completions: Completion) -> list[Attempt]:
    attempts = [rungs.first()]
    for completion in completions:
        following = rungs.after(attempts[-1], completion)
        if following is None:
            break
        attempts.append(following)
    return attempts


@pytest.mark.parametrize(
    "operator", [Operator.DRAFT, Operator.RESTART, Operator.REVISE, Operator.MUTATE, Operator.EDIT]
)
def test_what_repeats_itself_at_the_same_place_twice_is_let_run_on_with_the_whole_prompt(operator: Operator) -> None:
    rungs = ladder(key=dataclasses.replace(KEY, operator=operator))
    attempts = climb(rungs, *3 * [DEGENERATE])
    assert [attempt.runs_on for attempt in attempts] == [False, False, True]
    assert attempts[-1].cut == WHOLE
    requests = [rungs.request(attempt, PROMPT) for attempt in attempts]
    assert [request.runs_on for request in requests] == [False, False, True]
    assert [request.temperature for request in requests] == [0.5, 0.5 + WARMER, 0.5]
    assert len({request.seed for request in requests}) == 3


def test_loops_at_different_places_are_not_let_through_and_a_third_like_an_earlier_one_is_tried_once_more() -> None:
    first, second = hit_at(10, "Case 0: the sum is odd."), hit_at(5_000, "Wait, look again!")
    elsewhere = hit_at(900, "Hm? No?", GuardKind.CYCLE)
    assert [attempt.runs_on for attempt in climb(ladder(), first, second, elsewhere)] == 3 * [False]
    again = climb(ladder(), first, second, hit_at(2_000, "Case 7: their sum is even."), first)
    assert [attempt.runs_on for attempt in again] == [False, False, False, True]
    assert [attempt.key.attempt for attempt in again] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "fields",
    [
        {"key": dataclasses.replace(KEY, operator=Operator.REVIEW)},
        {"key": dataclasses.replace(KEY, operator=Operator.DISTIL)},
        {"choices": ("PASS", "FAIL")},
        {"attempts": 1},
    ],
)
def test_what_no_check_sees_is_never_let_through(fields: dict[str, object]) -> None:
    assert not any(attempt.runs_on for attempt in climb(ladder(**fields), *3 * [DEGENERATE]))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (hit_at(100), hit_at(400), True),
        (hit_at(8_000), hit_at(9_500), True),
        (hit_at(100), hit_at(700), False),
        (hit_at(100, kind=GuardKind.COMPRESSION), hit_at(90, kind=GuardKind.TEMPLATE), True),
        (hit_at(100, kind=GuardKind.CYCLE), hit_at(90, kind=GuardKind.TEMPLATE), False),
        (hit_at(0, "[0, 0, 0],", GuardKind.CYCLE), hit_at(3_000, "[0, 0],", GuardKind.COMPRESSION), True),
        (hit_at(0, "After step 3 the queue holds 4 items."), hit_at(2_000, "After step 1, the queue holds 2."), True),
        (hit_at(0, "After step 3 the queue holds 4 items."), hit_at(2_000, "Wait, let me look once more."), False),
    ],
)
def test_the_same_place_is_the_same_unit_or_near_the_same_position(
    one: Completion, other: Completion, same: bool
) -> None:
    assert one.guard is not None
    assert other.guard is not None
    assert same_place(one.guard, other.guard) is same_place(other.guard, one.guard) is same


def test_a_model_thinks_unless_it_must_choose_or_was_lost_in_thought() -> None:
    assert ladder().first() == Attempt(key=KEY, retries=0, thinking_tokens=50)
    assert ladder(choices=("PASS", "FAIL")).first().thinking_tokens == 0
    again, lost = ladder().after(ladder().first(), DEGENERATE), ladder().after(ladder().first(), LOST)
    assert again is not None
    assert lost is not None
    assert (again.thinking_tokens, lost.thinking_tokens) == (50, 0)
    thoughtful = dataclasses.replace(SOUND, reasoning="hm")
    assert ladder().after(ladder().first(), thoughtful) is None
    empty = dataclasses.replace(SOUND, text="")
    assert ladder().after(ladder().first(), empty) is None


def test_a_call_that_the_deadline_cut_is_made_again_as_it_was_where_more_than_one_attempt_is_wanted() -> None:
    cut = dataclasses.replace(SOUND, finish_reason="deadline")
    again = ladder().after(ladder().first(), cut)
    assert again == Attempt(key=dataclasses.replace(KEY, attempt=2), retries=0, thinking_tokens=50)
    assert ladder(attempts=2).after(ladder().first(), cut) == again
    assert ladder(attempts=1).after(ladder().first(), cut) is None


PROMPT = Prompt(system="Be brief.", prefix="?", asks_code=True, asks_lines=3)


def test_a_request_carries_the_sampling_and_a_retry_is_warmer_with_another_seed() -> None:
    request = ladder().request(ladder().first(), PROMPT)
    assert (request.messages, request.asks_code, request.asks_lines) == (PROMPT.messages, True, 3)
    assert (request.temperature, request.top_p, request.top_k) == (0.5, 0.8, 7)
    assert (request.max_tokens, request.thinking_tokens, request.choices) == (900, 50, ())
    assert request.seed == call_seed(11, KEY)
    later = Attempt(key=dataclasses.replace(KEY, attempt=2), retries=1, thinking_tokens=9)
    retried = ladder().request(later, PROMPT)
    assert retried.temperature == 0.5 + WARMER
    assert retried.thinking_tokens == 9
    assert retried.seed == call_seed(11, later.key)


def test_a_lesson_is_written_without_thoughts_in_the_tokens_of_a_lesson() -> None:
    lesson = ladder(key=dataclasses.replace(KEY, operator=Operator.DISTIL))
    request = lesson.request(lesson.first(), PROMPT)
    assert (request.max_tokens, request.thinking_tokens) == (90, 0)


def test_another_draw_gives_the_first_attempt_another_seed_and_the_next_ones_too() -> None:
    fifth = dataclasses.replace(KEY, attempt=5)
    moved = ladder(key=fifth, draw=2)
    assert moved.request(moved.first(), PROMPT).seed == call_seed(11, dataclasses.replace(KEY, attempt=2))
    later = Attempt(key=dataclasses.replace(KEY, attempt=7))
    assert moved.request(later, PROMPT).seed == call_seed(11, dataclasses.replace(KEY, attempt=4))


def test_a_choice_is_made_without_chance_in_a_few_tokens() -> None:
    choosing = ladder(choices=("PASS", "FAIL"))
    second = choosing.after(choosing.first(), DEGENERATE)
    assert second is not None
    for attempt in (choosing.first(), second):
        request = choosing.request(attempt, PROMPT)
        assert (request.temperature, request.max_tokens, request.choices) == (0.0, CHOICE_TOKENS, ("PASS", "FAIL"))


FIRST = dataclasses.replace(KEY, iteration=1, slot=0)


@pytest.mark.parametrize(
    ("key", "temperature"),
    [
        (FIRST, 0.0),
        (dataclasses.replace(FIRST, slot=1), 0.5),
        (dataclasses.replace(FIRST, iteration=2), 0.5),
        (dataclasses.replace(FIRST, operator=Operator.RESTART), 0.5),
        (dataclasses.replace(FIRST, operator=Operator.REVISE), 0.5),
    ],
)
def test_the_very_first_draft_may_have_a_temperature_of_its_own(key: CallKey, temperature: float) -> None:
    greedy = ladder(key=key, sampling=dataclasses.replace(SAMPLING, first_temperature=0.0))
    assert greedy.request(greedy.first(), PROMPT).temperature == temperature
    assert ladder(key=key).request(ladder(key=key).first(), PROMPT).temperature == 0.5


def test_a_move_may_be_warmer_than_the_model_and_a_loop_is_warmer_still() -> None:
    warm = ladder(warmth=3)
    again = warm.after(warm.first(), DEGENERATE)
    assert again is not None
    temperatures = [warm.request(attempt, PROMPT).temperature for attempt in (warm.first(), again)]
    assert temperatures == pytest.approx([0.5 + 3 * WARMTH, 0.5 + 3 * WARMTH + WARMER])


def test_a_first_draft_that_loops_is_drawn_again_as_any_other() -> None:
    greedy = ladder(key=FIRST, sampling=dataclasses.replace(SAMPLING, first_temperature=0.0))
    again = greedy.after(greedy.first(), DEGENERATE)
    assert again is not None
    assert greedy.request(again, PROMPT).temperature == 0.5 + WARMER


def test_candidates_are_drawn_in_an_order_that_the_jobs_seed_and_the_call_decide() -> None:
    refs = tuple(CandidateRef(iteration=n, slot=0) for n in range(1, 9))
    first = drawn(11, KEY, refs, 4)
    assert first == drawn(11, KEY, refs[::-1], 4)
    assert len(set(first)) == 4
    assert set(first) <= set(refs)
    assert drawn(11, KEY, refs[:2], 4) in (refs[:2], refs[1::-1])
    orders = {drawn(seed, dataclasses.replace(KEY, slot=slot), refs, 4) for seed in range(3) for slot in range(3)}
    assert len(orders) == 9


def test_a_job_that_names_a_temperature_has_it_in_its_answers_and_in_nothing_else() -> None:
    for operator in (Operator.DRAFT, Operator.REVISE, Operator.MUTATE):
        asked = ladder(key=dataclasses.replace(KEY, operator=operator), temperature=0.0, warmth=2)
        assert asked.request(asked.first(), PROMPT).temperature == pytest.approx(2 * WARMTH)
    for operator in (Operator.REVIEW, Operator.JUDGE, Operator.DISTIL):
        asked = ladder(key=dataclasses.replace(KEY, operator=operator), temperature=0.0)
        assert asked.request(asked.first(), PROMPT).temperature == SAMPLING.temperature
    greedy = dataclasses.replace(SAMPLING, first_temperature=0.0)
    first = ladder(key=FIRST, sampling=greedy, temperature=0.7)
    assert first.request(first.first(), PROMPT).temperature == 0.7
    assert ladder(choices=("a", "b"), temperature=0.7).request(ladder().first(), PROMPT).temperature == 0.0
