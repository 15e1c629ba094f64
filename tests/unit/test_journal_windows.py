"""Model calls over a journal: found again, and cut to the model that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tasks.errors import ContextExceeded, ProblemTooLong, PromptTooLong
from tasks.journal import JournalledModel
from tasks.llm.scripted import ScriptedModel
from tasks.ports import Heartbeat
from tasks.prompts import build
from tasks.sampling import Sampling
from tasks.types import CallKey, ChatRequest, Claim, Completion, Job, Message, Operator
from tasks.window import REST_TOKENS, TEMPLATE_TOKENS
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


def long_job(*, cut: bool = True) -> Job:
    subject = job()
    return replace(subject, spec=replace(subject.spec, problem="A long story. " * 1500, cut=cut))


def ask(model: ScriptedModel, journal: Journal, asked: Job, claim: Claim = CLAIM) -> Completion:
    journalled = JournalledModel(
        ledger=journal,  # type: ignore[arg-type]
        model=model,
        sampling=Sampling(answer_tokens=ANSWER_TOKENS),
    )
    return journalled.ask(turn_of(asked, claim), KEY, lambda cut: build.draft(asked, cut=cut))


@pytest.mark.parametrize("context", [800, 2000, 4096, 100_000])
def test_a_problem_that_may_be_cut_is_shown_as_far_as_the_context_holds_it(context: int) -> None:
    model, journal = Strict(context), Journal()
    assert ask(model, journal, long_job()).text == "fine"
    shown = model.asked[0]
    assert shown.max_tokens == ANSWER_TOKENS
    assert shown.messages[-1].content.endswith(build.draft(long_job())[-1].content[-40:]), "the goal is still there"
    assert (len(shown.messages[-1].content) < 21_000) is (context < 10_000)
    shown_chars = shown.messages[-1].content.count("A long") * len("A long story. ")
    left_out = sum(omission.left_out for omission in journal.omissions[KEY])
    assert left_out == 0 if context > 10_000 else abs(21_000 - shown_chars - left_out) < 80


def test_a_problem_is_whole_as_long_as_an_answer_and_a_task_have_room_beside_it() -> None:
    prefix_tokens = Strict(0).count_tokens(build.draft(long_job()).head)
    room = prefix_tokens + ANSWER_TOKENS + TEMPLATE_TOKENS + REST_TOKENS
    model, journal = Strict(room), Journal()
    assert ask(model, journal, long_job(cut=False)).text == "fine"
    assert "A long story. " * 1499 in model.asked[0].messages[-1].content
    assert journal.omissions[KEY] == ()
    with pytest.raises(ProblemTooLong) as refused:
        ask(Strict(room - 1), Journal(), long_job(cut=False))
    assert str(refused.value) == (
        f"the problem with its attachments is {prefix_tokens:,} tokens; the context of scripted is {room - 1:,}, an "
        f"answer needs 100 and the rest of a prompt 544: {prefix_tokens - 1:,} are left; it needs a larger context, or "
        "`cut: true` (--cut), which shows the model a part of it"
    )
    assert refused.value.context_tokens == room - 1


def test_a_context_without_room_for_the_shortest_prompt_ends_the_job_with_both_numbers() -> None:
    with pytest.raises(PromptTooLong, match=r"the shortest prompt has \d+ tokens, and the model has room for 6$"):
        ask(Strict(650), Journal(), long_job())


def test_a_call_is_found_again_by_a_model_of_another_context_whose_tokenizer_is_away() -> None:
    journal = Journal()
    first = ask(Strict(2000), journal, long_job())
    assert ask(Away(1000), journal, long_job()) == first


def test_a_server_that_refuses_the_window_is_asked_in_a_shorter_one() -> None:
    journal, model = Journal(), Short(2500)
    assert ask(model, journal, long_job()).text == "fine"
    assert len(model.asked) > 1
    assert journal.calls[KEY][0] == model.asked[-1]
    assert journal.omissions[KEY][0].block == "problem"


def test_a_server_with_a_smaller_context_than_it_says_does_not_get_a_part_of_what_must_be_whole() -> None:
    with pytest.raises(ProblemTooLong, match="the server refused it: the maximum context length is another"):
        ask(Short(2500), Journal(), long_job(cut=False))


def test_a_server_that_refuses_every_window_is_at_fault() -> None:
    with pytest.raises(ContextExceeded):
        ask(Short(120), Journal(), long_job())


def test_the_journal_keeps_the_request_as_it_was_sent() -> None:
    journal, model = Journal(), Strict(2000)
    ask(model, journal, long_job())
    assert journal.calls[KEY][0] == model.asked[0]
