"""Model calls over a journal: found again, and cut to the model that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tasks.errors import ContextExceeded, PromptTooLong
from tasks.journal import JournalledModel
from tasks.llm.scripted import ScriptedModel
from tasks.ports import Heartbeat
from tasks.prompts import build
from tasks.sampling import Sampling
from tasks.types import CallKey, ChatRequest, Claim, Completion, Job, Message, Operator
from tests.doubles import Journal
from tests.turns import CLAIM, turn_of
from tests.unit.test_judge_panel import job

KEY = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=1)
ANSWER_TOKENS = 100


class Strict(ScriptedModel):
    """Refuses what its context can't hold, as an engine does; keeps what it was asked."""

    def __init__(self, context_tokens: int) -> None:
        super().__init__(lambda request: "fine", context_tokens=context_tokens)
        self.asked: list[ChatRequest] = []

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        assert self.count_tokens(request.messages) + request.max_tokens <= self.context_tokens
        self.asked.append(request)
        return super().complete(request, heartbeat)


class Away(Strict):
    """Its tokenizer must not be needed."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        raise AssertionError("it was asked to count")


class Short(ScriptedModel):
    """Has a smaller context than it says, and says so when it is asked."""

    def __init__(self, real_tokens: int) -> None:
        super().__init__(lambda request: "fine", context_tokens=8192)
        self.real_tokens, self.asked = real_tokens, list[ChatRequest]()

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        self.asked.append(request)
        if self.count_tokens(request.messages) + request.max_tokens > self.real_tokens:
            raise ContextExceeded("the maximum context length is another")
        return super().complete(request, heartbeat)


def long_job() -> Job:
    made = job()
    return replace(made, spec=replace(made.spec, problem="A long story. " * 1500))


def ask(model: ScriptedModel, journal: Journal, asked: Job, claim: Claim = CLAIM) -> Completion:
    journalled = JournalledModel(
        ledger=journal,  # type: ignore[arg-type]
        model=model,
        sampling=Sampling(answer_tokens=ANSWER_TOKENS),
    )
    return journalled.ask(turn_of(asked, claim), KEY, lambda cut: build.draft(asked, cut=cut))


@pytest.mark.parametrize("context", [700, 2000, 4096, 100_000])
def test_a_problem_longer_than_the_context_is_asked_in_a_shorter_window(context: int) -> None:
    model = Strict(context)
    assert ask(model, Journal(), long_job()).text == "fine"
    shown = model.asked[0]
    assert shown.max_tokens == ANSWER_TOKENS
    assert shown.messages[-1].content.endswith(build.draft(long_job())[-1].content[-40:]), "the goal is still there"
    assert (len(shown.messages[-1].content) < 21_000) is (context < 10_000)


def test_a_context_without_room_for_the_shortest_prompt_ends_the_job_with_both_numbers() -> None:
    with pytest.raises(PromptTooLong, match=r"the shortest prompt has \d+ tokens, and the model has room for 18$"):
        ask(Strict(150), Journal(), long_job())


def test_a_call_is_found_again_by_a_model_of_another_context_whose_tokenizer_is_away() -> None:
    journal = Journal()
    made = ask(Strict(2000), journal, long_job())
    assert ask(Away(1000), journal, long_job()) == made


def test_a_server_that_refuses_the_window_is_asked_in_a_shorter_one() -> None:
    journal, model = Journal(), Short(2500)
    assert ask(model, journal, long_job()).text == "fine"
    assert len(model.asked) > 1
    assert journal.calls[KEY][0] == model.asked[-1]


def test_a_server_that_refuses_every_window_is_at_fault() -> None:
    with pytest.raises(ContextExceeded):
        ask(Short(120), Journal(), long_job())


def test_the_journal_keeps_the_request_as_it_was_sent() -> None:
    journal, model = Journal(), Strict(2000)
    ask(model, journal, long_job())
    assert journal.calls[KEY][0] == model.asked[0]
