"""A real llama.cpp that somebody runs, attached by URL: what it can, and jobs over it from end to end."""

from __future__ import annotations

import dataclasses
import json
import urllib.request

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.judge_panel import ModelJudgePanel
from tasks.llm.capabilities import Capabilities
from tasks.llm.chat import OpenAIChatModel
from tasks.sampling import Sampling
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, ChatRequest, CheckSpec, JobSpec, JobState, Message
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop
from workers.engine.attached import AttachedEndpoint
from workers.engine.server import EngineServer

pytestmark = [pytest.mark.engine, pytest.mark.integration, pytest.mark.timeout(300)]
REQUEST = ChatRequest(messages=(Message(role="user", content="Name a few rivers."),), max_tokens=16, temperature=1.0)
# Holds the small model to the form of an answer, in few tokens.
FORM = {"grammar": 'root ::= "ANSWER: " ("4" | "5")'}


@pytest.fixture(scope="module")
def host(llama_server: EngineServer) -> AttachedEndpoint:
    attached = AttachedEndpoint(llama_server.url)
    attached.examine()
    return attached


def client(host: AttachedEndpoint, **extra: str) -> OpenAIChatModel:
    """As a worker makes it; `extra` is what a profile adds to each request."""
    return OpenAIChatModel(
        base_url=host.url,
        model=host.model,
        api_key="none",
        context_tokens=host.profile.max_model_len,
        first_token_seconds=120.0,
        token_silence_seconds=60.0,
        extra={**host.profile.request_extra, **extra},
        engine=host.describe(),
        capabilities=host.capabilities,
    )


@pytest.fixture(scope="module")
def model(host: AttachedEndpoint) -> OpenAIChatModel:
    return client(host)


def run(fleet: Database, model: OpenAIChatModel) -> None:
    while (claim := take(fleet)) is not None:
        twin_loop(
            PostgresLedger(fleet, fault_cap=3),
            model,
            judge_panel=lambda journalled: ModelJudgePanel(model=journalled),
            sampling=Sampling(answer_tokens=16, review_tokens=16),
        ).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def put(user: Database, check: CheckSpec, *, iterations: int) -> int:
    spec = JobSpec(title="t", problem="What is 2 + 2?", checks=(check,), budget=Budget(iterations=iterations))
    return submit_jobs(user, [spec])[0].job


def test_what_it_can_is_found_out(host: AttachedEndpoint, llama_server: EngineServer) -> None:
    assert host.capabilities == Capabilities(choices="grammar", tokenizer="text", repetition=False)
    assert (host.sequences, host.profile.max_model_len > 0) == (llama_server.sequences, True)
    assert host.load() is not None


def test_the_same_seed_gives_the_same_words_and_another_seed_others(model: OpenAIChatModel) -> None:
    first, again, other = (
        model.complete(dataclasses.replace(REQUEST, seed=seed), SilentHeartbeat()).text for seed in (3, 3, 4)
    )
    assert first == again != other


def test_tokens_are_counted_as_the_server_counts_them(model: OpenAIChatModel, host: AttachedEndpoint) -> None:
    body = {
        "messages": [{"role": "user", "content": REQUEST.messages[0].content}],
        "max_tokens": 16,
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{host.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        usage = json.load(response)["usage"]
    completion = model.complete(dataclasses.replace(REQUEST, temperature=0.0), SilentHeartbeat())
    assert model.count_tokens(REQUEST.messages) == completion.prompt_tokens == usage["prompt_tokens"]
    assert completion.completion_tokens == usage["completion_tokens"]


def test_a_job_is_solved_over_it(user: Database, fleet: Database, host: AttachedEndpoint) -> None:
    job = put(user, CheckSpec(name="answer:answer", kind="answer", value={"exact": "4"}), iterations=8)
    run(fleet, client(host, **FORM))
    summary = job_summary(user, job)
    assert (summary.state, summary.acceptance, summary.answer) == (JobState.ACCEPTED, "verified", "ANSWER: 4")


def test_a_choice_is_one_of_its_words_by_grammar(model: OpenAIChatModel) -> None:
    request = dataclasses.replace(REQUEST, choices=("obsidian", "amaranth"), temperature=0.0)
    completion = model.complete(request, SilentHeartbeat())
    assert (completion.text in request.choices, completion.finish_reason) == (True, "stop")


@pytest.mark.slow
def test_a_verdict_is_one_of_its_words_by_grammar(user: Database, fleet: Database, host: AttachedEndpoint) -> None:
    job = put(user, CheckSpec(name="judge:judge", kind="judge", value="It is a number."), iterations=1)
    run(fleet, client(host, **FORM))
    with fleet.connect() as connection:
        query = "SELECT text, completion_tokens, engine FROM calls WHERE job_id = :job AND step = 'verdict'"
        verdicts = connection.execute(text(query), {"job": job}).all()
    assert verdicts
    assert {row.text for row in verdicts} <= {"PASS", "FAIL"}
    assert all("llama.cpp" in row.engine and row.completion_tokens < 8 for row in verdicts)
