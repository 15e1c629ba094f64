"""Thoughts: requested, bounded, separated from the answer, kept out of every prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tasks.journal import JournalledModel, prompt_hash
from tasks.llm.chat import OpenAIChatModel
from tasks.llm.splitting import apart
from tasks.llm.thoughts import Thinking
from tasks.prompts import build
from tasks.sampling import Sampling
from tasks.types import CallKey, Candidate, CandidateRef, ChatRequest, Completion, Operator
from tests.doubles import Journal
from tests.turns import turn_of
from tests.unit.llm.conftest import SseServer
from tests.unit.test_judge_panel import job

GEMMA = Thinking(
    on={"chat_template_kwargs": {"enable_thinking": True}},
    off={"chat_template_kwargs": {"enable_thinking": False}},
    budget="thinking_token_budget",
)
SECRET = "First I weigh §secret§ thoughts."


@pytest.fixture
def model(chat: Callable[..., OpenAIChatModel]) -> OpenAIChatModel:
    return chat(thinking=GEMMA)


def says(*deltas: dict[str, Any], finish: str = "stop") -> Callable[[Any], None]:
    def script(handler: Any) -> None:
        handler.begin()
        for one in deltas:
            handler.word(**one)
        handler.word("", finish)

    return script


def ask(model: OpenAIChatModel, journal: Journal, operator: Operator = Operator.DRAFT, **more: Any) -> Completion:
    journalled = JournalledModel(
        ledger=journal,  # type: ignore[arg-type]
        model=model,
        sampling=Sampling(answer_tokens=200, review_tokens=100, thinking_tokens=300),
    )
    key = CallKey(iteration=1, operator=operator, slot=0, attempt=1)
    return journalled.ask(turn_of(job()), key, lambda cut: build.draft(job(), cut=cut), **more)


@pytest.mark.parametrize(("operator", "tokens"), [(Operator.DRAFT, 500), (Operator.REVIEW, 400), (Operator.JUDGE, 400)])
def test_free_text_is_thought_about_within_a_budget_of_its_own(
    server: SseServer, model: OpenAIChatModel, operator: Operator, tokens: int
) -> None:
    server.script = says({"text": "fine"})
    ask(model, Journal(), operator)
    body = server.bodies[0]
    assert body["chat_template_kwargs"] == {"enable_thinking": True}
    assert (body["max_tokens"], body["thinking_token_budget"]) == (tokens, 300)


def test_a_choice_is_made_without_thinking(server: SseServer, model: OpenAIChatModel) -> None:
    server.script = says({"text": "PASS"})
    ask(model, Journal(), Operator.JUDGE, choices=("PASS", "FAIL"))
    body = server.bodies[0]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "thinking_token_budget" not in body
    assert body["structured_outputs"] == {"choice": ["PASS", "FAIL"]}


@pytest.mark.parametrize(
    "streamed",
    [
        ({"reasoning": SECRET}, {"text": "It is 7."}),
        ({"reasoning_content": SECRET}, {"text": "It is 7."}),
        ({"text": "<think>\n" + SECRET}, {"text": "\n</think>\n\nIt is 7."}),
    ],
)
def test_thoughts_are_stored_and_never_shown_to_a_prompt(
    server: SseServer, model: OpenAIChatModel, streamed: tuple[dict[str, Any], ...]
) -> None:
    server.script = says(*streamed)
    journal = Journal()
    completion = ask(model, journal)
    assert (completion.text, completion.reasoning) == ("It is 7.", SECRET)
    ((_, _, stored),) = journal.calls.values()
    assert stored.reasoning == SECRET
    ref = CandidateRef(iteration=1, slot=0)
    candidate = Candidate(ref=ref, operator=Operator.DRAFT, text=completion.text, root=ref)
    for messages in (build.review(job(), candidate), build.revise(job(), candidate, ("`7` is wrong",))):
        assert "It is 7." in messages[-1].content
        assert "§secret§" not in "".join(message.content for message in messages)


def test_thoughts_that_leave_no_answer_are_not_asked_for_again(server: SseServer, model: OpenAIChatModel) -> None:
    answers = iter([says({"reasoning": SECRET}, finish="length"), says({"text": "It is 7."})])

    def script(handler: Any) -> None:
        next(answers)(handler)

    server.script = script
    journal = Journal()
    assert ask(model, journal).text == "It is 7."
    assert [body["chat_template_kwargs"]["enable_thinking"] for body in server.bodies] == [True, False]
    assert [completion.reasoning for _, _, completion in journal.calls.values()] == [SECRET, ""]


def test_a_model_without_thoughts_is_told_nothing_of_them(server: SseServer, chat: Callable[..., Any]) -> None:
    server.script = says({"text": "fine"})
    ask(chat(), Journal())
    assert not {"chat_template_kwargs", "thinking_token_budget"} & set(server.bodies[0])


def test_whether_a_model_thinks_does_not_make_another_prompt_of_it() -> None:
    request = ChatRequest(messages=build.draft(job()))
    assert prompt_hash(request) == prompt_hash(dataclasses.replace(request, thinking_tokens=9))


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ("It is 7.", "It is 7.", ""),
        ("<think>hm</think>7", "7", "hm"),
        ("\n<think>\nhm", "", "hm"),
        ("Say <think>hm</think>", "Say <think>hm</think>", ""),
        ("<thinking>hm</thinking>7", "<thinking>hm</thinking>7", ""),
    ],
)
def test_only_thoughts_that_lead_an_answer_in_are_told_apart(text: str, answer: str, thoughts: str) -> None:
    assert apart(text) == (answer, thoughts)
