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
from tasks.journal import TEMPLATE_TOKENS, JournalledModel, NoAdmission, prompt_hash
from tasks.llm.scripted import ScriptedModel
from tasks.prompts.layout import WHOLE
from tasks.sampling import Sampling, call_seed
from tasks.types import CallKey, ChatRequest, Claim, Completion, Cut, Message, Operator, RequestSize
from tests.doubles import Journal
from tests.turns import CLAIM, StoppedClock, job_of, turn_of

KEY = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=1)
SAMPLING = Sampling(answer_tokens=100, lesson_tokens=10, thinking_tokens=20)
QUESTION = (Message(role="user", content="What is it? " * 10),)
QUESTION_TOKENS = 30
LOOP = "A good start:\n" + "And so it goes on. " * 200


class Ledger(Journal):
    """Keeps the claim, key and tokens of each reservation and of each commit, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Any, ...]] = []

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> Completion | None:
        assert claim == CLAIM
        return super().find_call(claim, key, prompt_hash)

    def reserve(self, claim: Claim, key: CallKey, tokens: int) -> None:
        self.steps.append(("reserve", claim, key, tokens))

    def commit_call(self, claim: Claim, key: CallKey, request: ChatRequest, prompt_hash: str, made: Completion) -> None:
        self.steps.append(("commit", claim, key, prompt_hash))
        super().commit_call(claim, key, request, prompt_hash, made)


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


def test_a_call_runs_inside_the_admission_of_its_size() -> None:
    ledger, gate, inside = Ledger(), Gate(), list[bool]()

    def answer(request: ChatRequest) -> str:
        inside.append(gate.inside)
        return "fine"

    heartbeat = Watched()
    turn = turn_of(job_of(), heartbeat=heartbeat)
    journalled(ledger, ScriptedModel(answer), gate).ask(turn, KEY, lambda cut: QUESTION)
    ((size, admitted_with),) = gate.admitted
    assert size == RequestSize(messages=QUESTION, prompt_tokens=QUESTION_TOKENS, completion_tokens=120)
    assert inside == [True]
    assert heartbeat.calls == [KEY]
    assert heartbeat.checkpoints == 1
    admitted_with.checkpoint()
    assert heartbeat.checkpoints == 2


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


def by_cut(cut: Cut) -> Sequence[Message]:
    """A prefix and a rest of 128 tokens each, halved with each step; without the rest where it is None."""
    prefix = "p" * (512 >> cut.prefix)
    rest = "" if cut.rest is None else "r" * (512 >> cut.rest)
    return (Message(role="system", content=prefix), Message(role="user", content=rest))


def sizes(request: ChatRequest) -> list[int]:
    """Tokens of prefix and rest."""
    return [len(message.content) // 4 for message in request.messages]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (TEMPLATE_TOKENS + 120 + 256, [128, 128]),  # both fit exactly
        (TEMPLATE_TOKENS + 120 + 255, [64, 128]),  # the prefix has half of the room at most
        (TEMPLATE_TOKENS + 120 + 190, [64, 64]),  # the rest has what the prefix leaves
    ],
)
def test_a_prompt_is_cut_to_the_room_that_template_thoughts_and_answer_leave(context: int, expected: list[int]) -> None:
    model = Refusing(0, context)
    journalled(Ledger(), model).ask(turn_of(job_of()), KEY, by_cut)
    assert sizes(model.sent[0]) == expected


def test_what_is_reserved_is_the_prompt_that_was_cut_and_what_is_hashed_the_whole_one() -> None:
    ledger = Ledger()
    journalled(ledger, Refusing(0, TEMPLATE_TOKENS + 120 + 190)).ask(turn_of(job_of()), KEY, by_cut)
    assert ledger.steps[0][-1] == 64 + 64 + 120
    request, hashed, _ = ledger.calls[KEY]
    assert hashed == prompt_hash(replace(request, messages=tuple(by_cut(WHOLE))))


def test_a_server_that_refuses_is_sent_a_half_a_quarter_and_an_eighth_of_the_room() -> None:
    model, ledger = Refusing(3, TEMPLATE_TOKENS + 120 + 256), Ledger()
    assert journalled(ledger, model).ask(turn_of(job_of()), KEY, by_cut).text == "fine"
    assert [sizes(request) for request in model.sent] == [[128, 128], [64, 64], [32, 32], [16, 16]]
    assert ledger.calls[KEY][0] == model.sent[-1]


def test_a_server_that_refuses_the_eighth_too_is_at_fault() -> None:
    model = Refusing(4, TEMPLATE_TOKENS + 120 + 256)
    with pytest.raises(ContextExceeded):
        journalled(Ledger(), model).ask(turn_of(job_of()), KEY, by_cut)
    assert len(model.sent) == 4


def test_the_prefix_is_cut_the_same_for_operators_whose_answers_are_shorter() -> None:
    shown = []
    for operator in (Operator.DRAFT, Operator.DISTIL):
        model = Refusing(0, TEMPLATE_TOKENS + 120 + 255)
        journalled(Ledger(), model).ask(turn_of(job_of()), replace(KEY, operator=operator), by_cut)
        shown.append(sizes(model.sent[0])[0])
    assert shown == [64, 64]


def test_the_hash_of_a_stored_call_stays_and_thinking_is_no_part_of_it() -> None:
    """Else a worker of the next version would not find the calls of the one before."""
    request = ChatRequest(messages=(Message(role="user", content="a"),), seed=3)
    assert prompt_hash(request) == prompt_hash(replace(request, thinking_tokens=9))
    assert prompt_hash(request) == "bba03c6dbf5a341318c7ae83bab46a1450d8ff843c9c5830819f12418ce171ee"
