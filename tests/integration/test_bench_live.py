"""A live run of the bench: real jobs on a real Postgres, whose model writes the drafts of a pool. It comes to what the
replay of that pool says, run by run."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tasks.client import Client
from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.lesson_service import MemoryLessonService
from tasks.llm.scripted import ScriptedModel
from tasks.memory.embedder import Embedder
from tasks.memory.twin import InMemoryBank
from tasks.policy import Aggregation, BestOfN, Correct, Ladder, SelfConsistency, Single
from tasks.sampling import Sampling, call_seed
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.lesson_queries import StoredRecords
from tasks.store.outbox import Outbox
from tasks.store.session import Database
from tasks.types import CallKey, ChatRequest, CheckSpec, JobSpec, Operator, StopCode
from tasks.validators.checks import RegisteredChecks
from tests.doubles import NoSandbox
from tests.loops import ENGINE_AND_CHECKS, run, take, twin_loop
from tests.unit.bench.pools import HEADER
from workers.bench.deck import Deck, Terms
from workers.bench.live import Live
from workers.bench.pool import Pool, PooledDraft, PooledVerdict
from workers.bench.record import draft_prompt
from workers.bench.replay import play
from workers.bench.runs import Run
from workers.bench.tasks import Mode, Task, TaskSet
from workers.outbox_worker import memory_handlers

pytestmark = pytest.mark.integration
FORM = CheckSpec(name="answer-form", kind="answer", value={"regex": r"\d+"})
VALUE = CheckSpec(name="answer-value", kind="answer", value={"number": "42"}, held_out=True)
CHECKS = RegisteredChecks(sandbox=NoSandbox())  # type: ignore[arg-type]
SAMPLING = Sampling(answer_tokens=120, review_tokens=32)
TOKENS = 290
# What the drafts of each task answer, the greedy one first; nothing is no answer at all.
ANSWERS = {"easy": ["42"] * 3, "false": ["7", "42", "42"], "late": ["", "", "42", "", "7", ""], "never": [""] * 3}


def task_of(name: str) -> Task:
    spec = JobSpec(title=name, problem="What is six times seven?", checks=(FORM,), tags=("bench",))
    return Task(name=name, spec=spec, scoring=(VALUE,))


TASKS = TaskSet(name="numbers", tasks=tuple(map(task_of, ANSWERS)))


def draft_of(task: Task, number: int, answer: str) -> PooledDraft:
    """Of a length of its own: its words differ, so that no guard hits."""
    words = random.Random(f"{task.name}{number}").sample(range(1_000, 9_999), 50 + 10 * number)
    text = " ".join(map(str, words)) + (f"\nANSWER: {answer}" if answer else "\nI do not know.")
    verdicts = [CHECKS.validate(text, (check,), SilentHeartbeat()) for check in (FORM, VALUE)]
    return PooledDraft(
        task=task.name,
        draft=number,
        temperature=0.8,
        seed=number,
        text=text,
        prompt_tokens=1,
        completion_tokens=len(text) // 4,
        seconds=1.0,
        finish_reason="stop",
        visible=tuple(map(PooledVerdict.of, verdicts[0])),
        scoring=tuple(map(PooledVerdict.of, verdicts[1])),
    )


POOL = Pool(
    header=HEADER,
    drafts={
        (task.name, number): draft_of(task, number, answer)
        for task in TASKS.tasks
        for number, answer in enumerate(ANSWERS[task.name])
    },
)


def deck(task: Task, mode: Mode) -> Deck:
    terms = Terms(mode=mode, tokens=TOKENS, width=1)
    return Deck(task=task, pool=POOL, terms=terms, model=ScriptedModel(otherwise), checks=CHECKS, sampling=SAMPLING)


def otherwise(request: ChatRequest) -> str:
    """What is no draft: a review, or an answer made of others, by its seed: what is wrong with a draft that was
    cut at its most tokens a replay says in other words than a check."""
    prompt = request.messages[-1].content
    if "List the problems of the answer now" in prompt:
        return "- It does not multiply: `I do not know`"
    return f"By the number {request.seed} I make this.\nANSWER: {request.seed % 3 + 41}"


def model(seeds: int, mode: Mode) -> ScriptedModel:
    """Answers the n-th draft of a job with the n-th that its seed draws from the pool: for jobs of one strategy."""
    keys = [
        CallKey(iteration=number, operator=operator, slot=0, attempt=1)
        for number in range(1, 60)
        for operator in (Operator.DRAFT, Operator.RESTART)
    ]
    job_seeds = {call_seed(seed, key): seed for seed in range(seeds) for key in keys}
    drafts = {(task.name, seed): deck(task, mode).order(seed) for task in TASKS.tasks for seed in range(seeds)}
    prompts = {task.name: draft_prompt(task.spec).messages for task in TASKS.tasks}

    def answer(request: ChatRequest) -> str:
        title = request.messages[-1].content.partition("# Problem: ")[2].partition("\n")[0]
        if request.messages != prompts[title]:
            return otherwise(request)
        return next(drafts[title, job_seeds[request.seed]]).text

    return ScriptedModel(answer)


@contextmanager
def worker(fleet: Database, model: ScriptedModel) -> Iterator[None]:
    """Works on what there is until the end."""
    ledger, over = PostgresLedger(fleet, fault_cap=3), threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            run(fleet, ledger, model, sampling=SAMPLING)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def comparable(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Without what a replay takes from its pool: prompt tokens and seconds."""
    return [run.model_dump(exclude={"prompt_tokens", "seconds"}) for run in runs]


@pytest.mark.parametrize("mode", [Mode.CHECKER, pytest.param(Mode.BLIND, marks=pytest.mark.slow)])
def test_a_live_run_comes_to_what_the_replay_says(alice: Client, fleet: Database, mode: Mode) -> None:
    strategies = [Single(), BestOfN(), SelfConsistency(), Correct(), Aggregation(), Ladder()]
    live = Live(client=alice, checks=CHECKS, name="r", mode=mode, tokens=TOKENS)
    measured: list[Run] = []
    for strategy in strategies:
        with worker(fleet, model(2, mode)):
            measured += live.run(TASKS, [strategy.name], seeds=2)
    replayed = [
        play(deck(task, mode), strategy, seed) for strategy in strategies for seed in range(2) for task in TASKS.tasks
    ]
    assert comparable(measured) == comparable(replayed)
    assert {run.solved for run in measured} == {True, False}
    assert any(run.falsely_accepted for run in measured) is (mode is Mode.BLIND)
    assert max(run.completion_tokens for run in measured) == TOKENS
    spent = {run.stop for run in measured if run.completion_tokens == TOKENS}
    assert StopCode.BUDGET_COMPLETION_TOKENS in spent
    assert breaches(fleet, submitted=range(1, 49), drained=True) == ()


def test_a_run_of_the_same_name_finds_its_jobs_and_another_mode_is_refused(alice: Client, fleet: Database) -> None:
    live = Live(client=alice, checks=CHECKS, name="r", mode=Mode.BLIND, tokens=TOKENS)
    with worker(fleet, model(1, Mode.BLIND)):
        first = list(live.run(TASKS, ["single"], seeds=1))
    assert list(live.run(TASKS, ["single"], seeds=1)) == first, "nobody works any more"
    assert len(alice.list(tags=["bench"])) == len(TASKS.tasks)
    other = Live(client=alice, checks=CHECKS, name="r", mode=Mode.CHECKER, tokens=TOKENS)
    with pytest.raises(InvalidInput, match="whose content is another"):
        list(other.run(TASKS, ["single"], seeds=1))


LESSON = "WHEN: multiplying two small numbers\nDO: add the one number as often as the other says\nAVOID: guessing"


def learner() -> ScriptedModel:
    """Wrong at a job's first draft and right at its second; right at once where it is shown a lesson."""
    drafts = itertools.count()

    def answer(request: ChatRequest) -> str:
        prompt = request.messages[-1].content
        if "WHEN:" in prompt:
            return LESSON
        taught = "multiplying two small numbers" in prompt
        return "so it is\nANSWER: 42" if taught or next(drafts) % 2 else "so it is\nANSWER: 7"

    return ScriptedModel(answer)


def test_with_memory_each_strategy_runs_with_lessons_and_without(alice: Client, fleet: Database) -> None:
    problem = "Multiply two small numbers: what is 6 times 7?"
    tasks = [
        Task(name=name, spec=JobSpec(title=f"Multiply, {name}", problem=problem, checks=(FORM,)), scoring=(VALUE,))
        for name in ("first", "second", "third")
    ]
    bank, model, over = InMemoryBank(Embedder()), learner(), threading.Event()
    ledger, outbox = PostgresLedger(fleet, fault_cap=3), Outbox(fleet, memory_handlers(bank))

    def work() -> None:
        while not over.wait(0.02):
            while (claim := take(fleet)) is not None:
                loop = twin_loop(
                    ledger,
                    model,
                    lesson_service=lambda journalled: MemoryLessonService(
                        bank=bank, model=journalled, records=StoredRecords(fleet)
                    ),
                )
                loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
                while outbox.deliver() == "":
                    pass

    live = Live(client=alice, checks=CHECKS, name="m", mode=Mode.CHECKER, tokens=10_000, memory=True)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        runs = list(live.run(TaskSet(name="numbers", tasks=tuple(tasks)), ["best_of_n"], seeds=1))
    finally:
        over.set()
        thread.join()
    drafted = [(run.strategy, run.iterations) for run in runs]
    assert all(run.solved for run in runs)
    assert drafted[:3] == [("best_of_n", 2)] * 3
    assert drafted[3:] == [("best_of_n+memory", 2), ("best_of_n+memory", 1), ("best_of_n+memory", 1)]
    assert bank.count() == 1, "jobs without memory taught nothing"
