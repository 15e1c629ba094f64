"""Memory from end to end, on a real Postgres and the real embedded memory with a scripted model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tasks.errors import MemoryUnavailable
from tasks.heartbeat import SilentHeartbeat
from tasks.lesson_service import MemoryLessonService
from tasks.llm.scripted import ScriptedModel
from tasks.memory.bank import QdrantBank
from tasks.memory.embedder import Embedder
from tasks.ports import MemoryBank
from tasks.sampling import Sampling
from tasks.store.ledger import PostgresLedger
from tasks.store.lesson_queries import StoredRecords, read_lesson
from tasks.store.outbox import Outbox
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.thompson import Counts
from tasks.types import Budget, ChatRequest, CheckSpec, Experience, JobSpec, JobState
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop
from workers.outbox_worker import memory_handlers

pytestmark = pytest.mark.integration
MODEL = Embedder()
ANSWER = CheckSpec(name="answer:answer", kind="answer", value={"exact": "42"})
HIDDEN = CheckSpec(name="answer:hidden", kind="answer", value={"regex": "4[0-9]"}, held_out=True)
LESSON = "WHEN: multiplying two small numbers\nDO: add the one number as often as the other says\nAVOID: guessing"


@pytest.fixture
def bank(memory_part: Callable[[], Any]) -> Iterator[QdrantBank]:
    part = memory_part()
    made = QdrantBank(part.url, part.key, MODEL)
    yield made
    made.close()


def solver(request: ChatRequest) -> str:
    """Right at once; asked for a lesson, it gives one."""
    return LESSON if "WHEN:" in request.messages[-1].content else "so it is\nANSWER: 42"


def put(user: Database, title: str = "Six times seven", **fields: Any) -> int:
    given = {"problem": "Multiply two small numbers: what is 6 times 7?", "checks": (ANSWER, HIDDEN), **fields}
    return submit_jobs(user, [JobSpec(title=title, **given)])[0].job


def run(fleet: Database, bank: MemoryBank, answer: Callable[[ChatRequest], str] = solver) -> None:
    """Turns until there is nothing to do, then the outbox."""
    loop = twin_loop(
        PostgresLedger(fleet, fault_cap=3),
        ScriptedModel(answer),
        lesson_service=lambda model: MemoryLessonService(bank=bank, model=model, records=StoredRecords(fleet)),
        sampling=Sampling(answer_tokens=64),
    )
    while (claim := take(fleet)) is not None:
        loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    outbox = Outbox(fleet, memory_handlers(bank))
    while outbox.deliver() == "":
        pass


def prompts(fleet: Database, job: int, operator: str) -> list[str]:
    with fleet.connect() as connection:
        rows = connection.execute(
            text("SELECT request FROM calls WHERE job_id = :job AND operator = :operator ORDER BY id"),
            {"job": job, "operator": operator},
        )
        return ["\n".join(message["content"] for message in row.request["messages"]) for row in rows]


def noted(fleet: Database, job: int) -> list[str]:
    with fleet.connect() as connection:
        rows = connection.execute(text("SELECT kind FROM events WHERE job_id = :job ORDER BY id"), {"job": job})
        return [row.kind for row in rows]


def test_the_second_jobs_prompt_holds_what_the_first_taught_and_it_is_told_whether_it_helped(
    user: Database, fleet: Database, bank: QdrantBank
) -> None:
    first = put(user)
    run(fleet, bank)
    assert len(prompts(fleet, first, "distil")) == 1
    assert "What earlier jobs taught" not in prompts(fleet, first, "draft")[0]

    second = put(user, title="Eight times nine", problem="Multiply two small numbers: what is 8 times 9?")
    run(fleet, bank)
    (shown,) = prompts(fleet, second, "draft")
    assert "- When: multiplying two small numbers\n- Do: add the one number as often as the other says" in shown
    assert "What earlier jobs taught" not in prompts(fleet, second, "distil")[0]
    assert job_summary(user, second).state is JobState.ACCEPTED

    lesson = read_lesson(user, 1)
    assert (lesson.lesson.job, lesson.helped, lesson.hurt) == (first, 1, 0)
    assert lesson.seen == 2  # the second job taught the same
    assert bank.count() == 1


def test_a_lesson_that_four_jobs_recalled_in_vain_is_recalled_no_more(
    user: Database, fleet: Database, bank: QdrantBank
) -> None:
    put(user)
    run(fleet, bank)
    hurt = [put(user, title=f"Six times seven, take {n}", budget=Budget(iterations=1)) for n in range(5)]
    run(fleet, bank, lambda request: "ANSWER: 7")
    assert ["What earlier jobs taught" in prompts(fleet, job, "draft")[0] for job in hurt] == [True] * 4 + [False]
    assert (read_lesson(user, 1).helped, read_lesson(user, 1).hurt) == (0, 4)
    owner, known = read_lesson(user, 1).lesson.owner, StoredRecords(fleet)
    both = Experience(taught=Counts(failed=4), without=Counts(solved=1, failed=1))
    assert known.experience(owner, "answer") == both
    assert known.experience(owner, "answer+python") == known.experience("nobody", "answer") == Experience()


def test_what_a_job_recalled_stays_as_it_was_though_the_memory_changes(
    user: Database, fleet: Database, bank: QdrantBank
) -> None:
    put(user)
    run(fleet, bank)
    tries = itertools.count()

    def late(request: ChatRequest) -> str:
        if "WHEN:" in request.messages[-1].content:
            return LESSON
        if next(tries) == 0:
            bank.clear()
        return "ANSWER: 42" if "What the checks say" in request.messages[-1].content else "ANSWER: 7"

    second = put(user, title="Six times seven again")
    run(fleet, bank, late)
    shown = [*prompts(fleet, second, "draft"), *prompts(fleet, second, "review"), *prompts(fleet, second, "revise")]
    assert len(shown) == 3
    assert all("multiplying two small numbers" in prompt for prompt in shown)


def test_nobody_learns_from_another_owner(
    login: Callable[..., str], user: Database, fleet: Database, bank: QdrantBank
) -> None:
    put(user)
    run(fleet, bank)
    with Database(login("bob")) as bob:
        second = put(bob)
        run(fleet, bank)
    assert "What earlier jobs taught" not in prompts(fleet, second, "draft")[0]


def test_a_job_without_memory_recalls_nothing_and_leaves_nothing(
    user: Database, fleet: Database, bank: QdrantBank
) -> None:
    put(user)
    run(fleet, bank)
    second = put(user, memory=False)
    run(fleet, bank)
    assert "What earlier jobs taught" not in prompts(fleet, second, "draft")[0]
    assert prompts(fleet, second, "distil") == []


def test_an_unsolved_job_warns_the_next_one_and_never_by_the_rejected_answer(
    user: Database, fleet: Database, bank: QdrantBank
) -> None:
    def wrong(request: ChatRequest) -> str:
        return LESSON if "WHEN:" in request.messages[-1].content else "a REJECTED thought\nANSWER: 7"

    first = put(user, budget=Budget(iterations=2))
    run(fleet, bank, wrong)
    (asked,) = prompts(fleet, first, "distil")
    assert "REJECTED" not in asked
    assert "answer:hidden" not in asked
    second = put(user)
    run(fleet, bank)
    assert "This failed:\n- When: multiplying two small numbers" in prompts(fleet, second, "draft")[0]


def test_a_memory_that_is_away_costs_a_job_its_lessons_and_nothing_else(
    user: Database, fleet: Database, memory_part: Callable[[], Any]
) -> None:
    part = memory_part()
    part.process.kill()
    part.process.wait()
    bank = QdrantBank(part.url, part.key, MODEL)
    job = put(user)
    run(fleet, bank)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert "no lessons" in noted(fleet, job)
    with pytest.raises(MemoryUnavailable):
        bank.count()
    bank.close()

    back = memory_part()  # its lesson waits in the outbox until then
    bank = QdrantBank(back.url, back.key, MODEL)
    with fleet.begin() as connection:
        connection.execute(text("UPDATE outbox SET deliver_at = now()"))
    run(fleet, bank)
    assert bank.count() == 1
    bank.close()


def test_a_budget_that_pays_no_lesson_does_not_undo_the_acceptance(
    user: Database, fleet: Database, bank: QdrantBank
) -> None:
    job = put(user, budget=Budget(tokens=250))
    run(fleet, bank)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert "no lesson" in noted(fleet, job)
    assert job_summary(user, job).spend.local_tokens <= 250
