"""What one journalled call asks of its ports, in which order, and with which numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tasks.crashpoints import CrashPoint, armed
from tasks.deadline import Deadline
from tasks.errors import ContextExceeded, LimitReached
from tasks.heartbeat import Heartbeat, SilentHeartbeat
from tasks.journal import JournalledModel, NoAdmission, prompt_hash
from tasks.llm.scripted import ScriptedModel
from tasks.prompts.layout import WHOLE
from tasks.sampling import Sampling, call_seed
from tasks.types import (
    CallKey,
    ChatRequest,
    Claim,
    Completion,
    Cut,
    Grant,
    Message,
    Omission,
    Operator,
    Prompt,
    RequestSize,
)
from tasks.window import REST_TOKENS, TEMPLATE_TOKENS
from tests.doubles import Journal
from tests.turns import CLAIM, StoppedClock, job_of, turn_of

KEY = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=1)
SAMPLING = Sampling(answer_tokens=100, lesson_tokens=10, thinking_tokens=20)
QUESTION = Prompt(system="", prefix="What is it? " * 10)
QUESTION_TOKENS = 30
LOOP = "A good start:\n" + "And so it goes on. " * 200


class Ledger(Journal):
    """Keeps the claim, key and tokens of each reservation and of each commit, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Any, ...]] = []
        self.left = 10**6
        self.seconds: float | None = None

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> Completion | None:
        assert claim == CLAIM
        return super().find_call(claim, key, prompt_hash)

    def reserve(self, claim: Claim, key: CallKey, tokens: int, completion_tokens: int = 0) -> Grant:
        self.steps.append(("reserve", claim, key, tokens))
        return Grant(completion_tokens=min(completion_tokens, self.left), seconds=self.seconds)

    def commit_call(
        self, claim: Claim, key: CallKey, request: ChatRequest, prompt_hash: str, made: Completion, **more: Any
    ) -> None:
        self.steps.append(("commit", claim, key, prompt_hash))
        super().commit_call(claim, key, request, prompt_hash, made, **more)


class Gate:
    """Implements `Admission`; keeps what was let in."""

    def __init__(self) -> None:
        self.admitted: list[tuple[RequestSize, Heartbeat]] = []
        self.inside = False

    @contextmanager
    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> Iterator[None]:
        self.admitted.append((space, heartbeat))
        self.inside = True
        yield
        self.inside = False


class Watched(SilentHeartbeat):
    """Keeps which calls were begun, and how often it was asked between steps."""

    def __init__(self) -> None:
        self.calls: list[CallKey] = []
        self.checkpoints = 0

    def checkpoint(self) -> None:
        self.checkpoints += 1

    def calling(self, key: CallKey) -> AbstractContextManager[Heartbeat]:
        self.calls.append(key)
        return super().calling(key)


class Refusing(ScriptedModel):
    """Refuses the first `refusals` requests as too long; keeps all that it was sent."""

    def __init__(self, refusals: int, context_tokens: int = 1000) -> None:
        super().__init__(lambda request: "fine", context_tokens=context_tokens)
        self.refusals, self.sent = refusals, list[ChatRequest]()

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        self.sent.append(request)
        if len(self.sent) <= self.refusals:
            raise ContextExceeded("too long")
        return super().complete(request, heartbeat)


def journalled(ledger: Ledger, model: ScriptedModel | None = None, gate: Gate | None = None) -> JournalledModel:
    model = model or ScriptedModel(lambda request: "fine")
    return JournalledModel(ledger=ledger, model=model, sampling=SAMPLING, admission=gate or NoAdmission())  # type: ignore[arg-type]


def ask(ledger: Ledger, model: ScriptedModel | None = None, **options: Any) -> Completion:
    return journalled(ledger, model).ask(turn_of(job_of(seed=5)), KEY, lambda cut: QUESTION, **options)


def request_of(ledger: Ledger, attempt: int = 1) -> ChatRequest:
    """The journalled request of an attempt."""
    return ledger.calls[replace(KEY, attempt=attempt)][0]


def test_a_call_reserves_its_prompt_its_thoughts_and_its_answer_and_is_committed_under_its_key() -> None:
    ledger = Ledger()
    ask(ledger)
    (_, hashed, _) = ledger.calls[KEY]
    assert ledger.steps == [("reserve", CLAIM, KEY, QUESTION_TOKENS + 100 + 20), ("commit", CLAIM, KEY, hashed)]
    assert hashed == prompt_hash(request_of(ledger))


@pytest.mark.parametrize(
    ("left", "thoughts", "answer"), [(120, 20, 100), (119, 20, 99), (40, 20, 20), (30, 15, 15), (1, 0, 1)]
)
def test_a_call_that_the_budget_cuts_thinks_for_half_of_what_is_left_at_most(
    left: int, thoughts: int, answer: int
) -> None:
    ledger, whole = Ledger(), Ledger()
    ledger.left = left
    ask(ledger)
    ask(whole)
    request = request_of(ledger)
    assert (request.thinking_tokens, request.max_tokens) == (thoughts, answer)
    assert ledger.calls[KEY][1] == whole.calls[KEY][1], "the same call, wherever it is cut"


def test_a_call_runs_inside_the_admission_of_its_size() -> None:
    ledger, gate, inside = Ledger(), Gate(), list[bool]()

    def answer(request: ChatRequest) -> str:
        inside.append(gate.inside)
        return "fine"

    heartbeat = Watched()
    turn = turn_of(job_of(), heartbeat=heartbeat)
    journalled(ledger, ScriptedModel(answer), gate).ask(turn, KEY, lambda cut: QUESTION)
    ((size, admitted_with),) = gate.admitted
    assert size == RequestSize(
        messages=QUESTION.messages, prompt_tokens=QUESTION_TOKENS, completion_tokens=120, thinking_tokens=20
    )
    assert inside == [True]
    assert heartbeat.calls == [KEY]
    assert heartbeat.checkpoints == 1
    admitted_with.checkpoint()
    assert heartbeat.checkpoints == 2


def test_first_attempts_are_sent_together_and_one_that_follows_is_alone() -> None:
    ledger, gate = Ledger(), Gate()
    journalled(ledger, ScriptedModel(lambda request: LOOP), gate).ask(
        turn_of(job_of()), KEY, lambda cut: QUESTION, together=4
    )
    assert [size.together for size, _ in gate.admitted][:2] == [4, 1]


def test_a_call_without_admission_begins_at_once() -> None:
    size = RequestSize(messages=(), prompt_tokens=1, completion_tokens=1)
    with NoAdmission().admit(size, SilentHeartbeat()) as entered:
        assert entered is None


def test_a_crash_may_come_between_any_two_steps_of_a_call() -> None:
    ledger, passed = Ledger(), list[tuple[CrashPoint, int]]()
    with armed(lambda point: passed.append((point, len(ledger.steps)))):
        ask(ledger)
    assert passed == [(CrashPoint.RESERVED, 1), (CrashPoint.CALL_MADE, 1), (CrashPoint.CALL_COMMITTED, 2)]


def test_choices_and_the_number_of_attempts_reach_the_request() -> None:
    ledger = Ledger()
    ask(ledger, choices=("PASS", "FAIL"))
    request = request_of(ledger)
    assert (request.choices, request.temperature, request.thinking_tokens) == (("PASS", "FAIL"), 0.0, 0)
    looping = Ledger()
    ask(looping, ScriptedModel(lambda request: LOOP), attempts=2)
    assert [key.attempt for key in looping.calls] == [1, 2]


def test_a_draw_stands_for_the_attempt_in_the_seed_and_without_one_the_attempt_counts() -> None:
    plain, drawn = Ledger(), Ledger()
    ask(plain)
    ask(drawn, draw=7)
    assert request_of(plain).seed == call_seed(5, KEY)
    assert request_of(drawn).seed == call_seed(5, replace(KEY, attempt=7))
    zero = Ledger()
    ask(zero, draw=0)
    assert request_of(zero).seed == call_seed(5, replace(KEY, attempt=0))
    later = replace(KEY, attempt=4)
    journal = Ledger()
    journalled(journal).ask(turn_of(job_of(seed=5)), later, lambda cut: QUESTION)
    assert journal.calls[later][0].seed == call_seed(5, later)


def test_a_call_that_would_begin_after_the_hours_is_not_made() -> None:
    clock = StoppedClock()
    turn = turn_of(job_of(), deadline=Deadline(at=clock.now, hours=2.0, clock=clock))
    ledger, model = Ledger(), Refusing(0)
    with pytest.raises(LimitReached, match="hours"):
        journalled(ledger, model).ask(turn, KEY, lambda cut: QUESTION)
    assert (ledger.steps, model.sent) == ([], [])


def test_a_call_that_the_hours_cut_short_is_committed_and_ends_the_turn() -> None:
    clock = StoppedClock()
    deadline = Deadline(at=clock.now + 1, hours=2.0, clock=clock)

    def answer(request: ChatRequest) -> str:
        clock.now += 1
        return "too late for this"

    ledger = Ledger()
    with pytest.raises(LimitReached, match="hours"):
        journalled(ledger, ScriptedModel(answer)).ask(turn_of(job_of(), deadline=deadline), KEY, lambda cut: QUESTION)
    assert [step[0] for step in ledger.steps] == ["reserve", "commit"]
    assert ledger.calls[KEY][2].finish_reason == "deadline"


def test_a_call_that_ends_in_time_does_not_look_at_the_hours() -> None:
    clock = StoppedClock()
    deadline = Deadline(at=clock.now + 1, hours=2.0, clock=clock)

    class Slow(ScriptedModel):
        def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
            completion = super().complete(request, heartbeat)
            clock.now += 1
            return completion

    turn = turn_of(job_of(), deadline=deadline)
    assert journalled(Ledger(), Slow(lambda request: "fine")).ask(turn, KEY, lambda cut: QUESTION).text == "fine"


def by_cut(cut: Cut) -> Prompt:
    """A prefix of 128 tokens and a rest of 1,024, halved with each step."""
    omitted = Omission(block="rest", left_out=4096 - (4096 >> cut.rest), chars=4096)
    return Prompt(
        system="",
        prefix="p" * (512 >> cut.prefix),
        rest="r" * (4096 >> cut.rest),
        omissions=(omitted,) if cut.rest else (),
    )


def sizes(request: ChatRequest) -> list[int]:
    """Tokens of prefix and rest."""
    return [request.messages[-1].content.count(letter) // 4 for letter in "pr"]


# With so much beside its prefix a prompt has 512 tokens for its rest.
BESIDE = TEMPLATE_TOKENS + 120 + REST_TOKENS


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (BESIDE + 640, [128, 1024]),  # both fit exactly
        (BESIDE + 128, [128, 512]),  # the prefix fits, and the rest has what it leaves
        (BESIDE + 127, [64, 512]),  # the prefix leaves room for a rest
    ],
)
def test_a_prompt_is_cut_to_the_room_that_template_thoughts_and_answer_leave(context: int, expected: list[int]) -> None:
    model = Refusing(0, context)
    journalled(Ledger(), model).ask(turn_of(job_of()), KEY, by_cut)
    assert sizes(model.sent[0]) == expected


def test_what_is_reserved_is_the_prompt_that_was_cut_and_what_is_hashed_the_whole_one() -> None:
    ledger = Ledger()
    journalled(ledger, Refusing(0, BESIDE + 127)).ask(turn_of(job_of()), KEY, by_cut)
    assert ledger.steps[0][-1] == 64 + 512 + 120
    request, hashed, _ = ledger.calls[KEY]
    assert hashed == prompt_hash(replace(request, messages=by_cut(WHOLE).messages))


def test_what_a_prompt_leaves_out_is_committed_with_its_call() -> None:
    whole, ledger = Ledger(), Ledger()
    journalled(whole, Refusing(0, BESIDE + 640)).ask(turn_of(job_of()), KEY, by_cut)
    journalled(ledger, Refusing(1, BESIDE + 128)).ask(turn_of(job_of()), KEY, by_cut)
    assert whole.omissions[KEY] == ()
    assert ledger.omissions[KEY] == (Omission(block="rest", left_out=3072, chars=4096),), "that of the prompt answered"


def test_a_server_that_refuses_is_sent_a_half_a_quarter_and_an_eighth_of_the_room() -> None:
    model, ledger = Refusing(3, BESIDE + 128), Ledger()
    assert journalled(ledger, model).ask(turn_of(job_of()), KEY, by_cut).text == "fine"
    assert [sizes(request) for request in model.sent] == [[128, 512], [64, 256], [32, 128], [16, 64]]
    assert ledger.calls[KEY][0] == model.sent[-1]


def test_a_server_that_refuses_the_eighth_too_is_at_fault() -> None:
    model = Refusing(4, BESIDE + 128)
    with pytest.raises(ContextExceeded):
        journalled(Ledger(), model).ask(turn_of(job_of()), KEY, by_cut)
    assert len(model.sent) == 4


def test_the_prefix_is_cut_the_same_for_operators_whose_answers_are_shorter() -> None:
    shown = []
    for operator in (Operator.DRAFT, Operator.DISTIL):
        model = Refusing(0, BESIDE + 127)
        journalled(Ledger(), model).ask(turn_of(job_of()), replace(KEY, operator=operator), by_cut)
        shown.append(sizes(model.sent[0])[0])
    assert shown == [64, 64]


class Counting(ScriptedModel):
    """Keeps the length of each text that it counts."""

    def __init__(self) -> None:
        super().__init__(lambda request: "fine", context_tokens=300_000)
        self.counted: list[int] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        self.counted.append(sum(len(message.content) for message in messages))
        return super().count_tokens(messages)


def test_a_long_prefix_is_counted_apart_from_what_follows_it() -> None:
    """So that a cache of counts serves the prefix, and each call adds a short text."""
    model = Counting()
    journal = journalled(Ledger(), model)
    for slot in range(3):
        rest = f"question {slot}"
        journal.ask(
            turn_of(job_of()),
            replace(KEY, slot=slot),
            lambda cut, rest=rest: Prompt(system="", prefix="x" * 900_000, rest=rest),
        )
    before_answers = [length for length in model.counted if length != 900_000 + 12]  # the twin counts what it answers
    assert before_answers == [900_000, 10] * 3


def test_the_hash_of_a_stored_call_stays_and_thinking_is_no_part_of_it() -> None:
    """Else a worker of the next version would not find the calls of the one before."""
    request = ChatRequest(messages=(Message(role="user", content="a"),), seed=3)
    assert prompt_hash(request) == prompt_hash(replace(request, thinking_tokens=9))
    assert prompt_hash(request) == "bba03c6dbf5a341318c7ae83bab46a1450d8ff843c9c5830819f12418ce171ee"


def test_a_call_is_cut_where_its_engine_time_is_over_and_not_made_again() -> None:
    ledger = Ledger()
    ledger.seconds = 0.2  # less than what a stream takes to end
    model = JournalledModel(ledger=ledger, model=ScriptedModel(lambda request: "ANSWER: 1"), sampling=SAMPLING)
    completion = model.ask(turn_of(job_of()), KEY, lambda cut: Prompt(system="", prefix="?"))
    assert (completion.text, completion.finish_reason) == ("", "length")
    assert len(ledger.calls) == 1
