"""Long problems through the real submission, store and loop: whole, left to a larger context, ended, or cut in the
open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from tasks.client import Client
from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.capabilities import Capabilities
from tasks.llm.chat import OpenAIChatModel
from tasks.llm.scripted import ScriptedModel
from tasks.measuring import TokenCount
from tasks.sampling import Sampling
from tasks.store import dispatch
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.types import ChatRequest, JobState, Message, StopCode
from tests.loops import ENGINE_AND_CHECKS, corrected, take, twin_loop
from tests.standin import endpoint

pytestmark = pytest.mark.integration
FACT = "The lighthouse keeper's number is 7341."
# Words of the stand-in's tokenizer: 50,000 on either side of the fact.
LONG = "grey waves roll on " * 12_500 + FACT + " grey waves roll on" * 12_500 + "\n\nWhat is the number?"
CHECKS = [{"answer": "7341"}]
FORM = "\n\nEnd with one line that holds only the final answer, in this form:\nANSWER: …"


def serve(fleet: Database, name: str, context: int, *, answer: int = 2048, lane: str = "gpu") -> None:
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, model, version, context_tokens, answer_tokens)
                    VALUES (:name, 'h', 1, ARRAY[:lane], 1, :name, '0', :context, :answer)"""),
            {"name": name, "context": context, "answer": answer, "lane": lane},
        )


def attached(standin: endpoint.StandIn, context: int) -> OpenAIChatModel:
    return OpenAIChatModel(
        base_url=standin.url,
        model="tiny",
        api_key="k",
        context_tokens=context,
        first_token_seconds=30,
        token_silence_seconds=30,
        extra={},
        engine="stand-in",
    )


@pytest.mark.parametrize("attachment", [False, True])
def test_the_fact_in_the_middle_of_a_hundred_thousand_tokens_is_in_every_prompt(
    alice: Client, fleet: Database, tmp_path: Path, attachment: bool
) -> None:
    serve(fleet, "wide", 262_144)
    (tmp_path / "log.txt").write_text(LONG)
    problem = "What is the number in [the log](log.txt)?" if attachment else LONG
    fields = {"problem": problem, "checks": CHECKS, "strategy": "correct", "budget": {"iterations": 2}}
    (job,) = alice.submit(fields, folder=tmp_path)
    assert job.note == ""
    ledger = PostgresLedger(fleet, fault_cap=3)
    with endpoint.serving(Capabilities(), entry={"max_model_len": 262_144}) as standin:
        while (claim := take(fleet)) is not None:
            model = attached(standin, 262_144)
            loop = twin_loop(ledger, model, width=2, sampling=Sampling(answer_tokens=4096, review_tokens=512))
            loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
        prompts = [body["messages"][-1]["content"] for body in standin.bodies]
        long_counts = [count for count in standin.counted if count > 100_000]
    assert len(prompts) == 6  # two drafts, two reviews, two revisions
    assert all(LONG in prompt for prompt in prompts)
    assert all(prompt.endswith((".", "`.")) and len(prompt.splitlines()[-1]) < 80 for prompt in prompts)
    assert len({prompt[: prompt.index("# Task")] for prompt in prompts}) == 1
    assert len(long_counts) <= 2  # of one prefix in each of two turns
    assert alice.summary(job).left_out == ()
    assert [row.omissions for row in alice.history(job)] == [(), ()]


def test_what_cannot_fit_is_refused_with_the_numbers_and_nothing_is_stored(alice: Client, fleet: Database) -> None:
    serve(fleet, "narrow", 4096, answer=1024)
    serve(fleet, "middle", 8192)
    serve(fleet, "elsewhere", 262_144, lane="fast")
    with pytest.raises(InvalidInput) as refused:
        alice.submit([{"problem": "Short.", "checks": CHECKS}, {"problem": LONG, "checks": CHECKS, "title": "Sea"}])
    assert str(refused.value) == (
        "problem of 'Sea': 'about 95,012 to 158,353 tokens' is not allowed; the context of middle is 8,192, an "
        "answer needs 2,048 and the rest of a prompt 544: 5,600 are left; it needs a larger context, or `cut: true` "
        "(--cut), which shows the model a part of it"
    )
    assert alice.list() == ()
    (job,) = alice.submit({"problem": LONG, "checks": CHECKS, "lane": "fast"})
    assert job.note == ""


def test_a_problem_that_may_or_may_not_fit_is_stored_with_a_note(alice: Client, fleet: Database) -> None:
    unknown, short = alice.submit([{"problem": LONG, "checks": CHECKS}, {"problem": "Short.", "checks": CHECKS}])
    assert "no live worker of lane gpu says what its model's context holds" in unknown.note
    assert "the job ends where it does not fit" in unknown.note
    assert short.note == ""
    serve(fleet, "middle", 8192)
    (perhaps,) = alice.submit({"problem": "x" * 20_000, "checks": CHECKS})
    assert perhaps.note.startswith("the problem with its attachments is about 4,000 to 6,666 tokens; the context")
    assert "where it does not fit, it needs a larger context" in perhaps.note
    (cut,) = alice.submit({"problem": LONG, "checks": CHECKS, "cut": True})
    assert "about 89,412 to 152,753 tokens of it are left out of each call" in cut.note


def counting(tokens: int | None, asked: list[tuple[str, int]]) -> TokenCount:
    """Gives so many tokens for whatever it is asked, and keeps the model and the characters of that."""

    def count(model: str, messages: Sequence[Message]) -> int | None:
        asked.append((model, len(messages[-1].content)))
        return tokens

    return count


def test_what_is_near_the_limit_is_counted_and_the_numbers_are_exact(alice: Client, fleet: Database) -> None:
    serve(fleet, "middle", 8192)
    near, asked = {"problem": "x" * 20_000, "checks": CHECKS}, list[tuple[str, int]]()
    with pytest.raises(InvalidInput, match="'5,601 tokens' is not allowed; the context of middle is 8,192") as refused:
        alice.submit(near, count=counting(5601, asked))
    assert "about" not in str(refused.value)
    assert asked == [("middle", len("# Problem: " + "x" * 119 + "…\n" + "x" * 20_000 + FORM))]
    (fits,) = alice.submit(near, count=counting(5600, asked))
    assert fits.note == ""
    (cut,) = alice.submit({**near, "cut": True}, count=counting(5700, asked))
    assert "is 5,700 tokens; the context" in cut.note
    assert "; 100 tokens of it are left out of each call" in cut.note
    (guessed,) = alice.submit(near, count=counting(None, asked))
    assert guessed.note.startswith("the problem with its attachments is about 4,000 to 6,666 tokens;")


def test_what_is_far_from_the_limit_is_not_counted(alice: Client, fleet: Database) -> None:
    serve(fleet, "middle", 8192)
    asked = list[tuple[str, int]]()
    alice.submit({"problem": "Short.", "checks": CHECKS}, count=counting(1, asked))
    with pytest.raises(InvalidInput, match="about 95,012 to 158,353 tokens"):
        alice.submit({"problem": LONG, "checks": CHECKS}, count=counting(1, asked))
    assert asked == []


def test_an_attached_text_is_counted_with_the_problem(alice: Client, fleet: Database, tmp_path: Path) -> None:
    serve(fleet, "middle", 8192)
    (tmp_path / "log.txt").write_text("y" * 18_000)
    asked = list[tuple[str, int]]()
    fields = {"problem": "Read [it](log.txt).", "checks": CHECKS}
    (job,) = alice.submit(fields, folder=tmp_path, count=counting(5000, asked))
    assert job.note == ""
    assert [(model, chars > 18_000) for model, chars in asked] == [("middle", True)]


class Narrow(ScriptedModel):
    """Keeps the prompts that it was sent."""

    def __init__(self, context_tokens: int) -> None:
        super().__init__(self._say, name="narrow", context_tokens=context_tokens)
        self.prompts: list[str] = []

    def _say(self, request: ChatRequest) -> str:
        self.prompts.append(request.messages[-1].content)
        return corrected(request)


def turn(fleet: Database, model: ScriptedModel, rules: dispatch.ClaimRules) -> bool:
    """Whether there was a job to claim."""
    with fleet.begin() as connection:
        connection.execute(text("UPDATE leases SET run_at = now()"))
    claim = dispatch.claim(fleet, ENGINE_AND_CHECKS, "w", "t", rules)
    if claim is not None:
        loop = twin_loop(PostgresLedger(fleet, fault_cap=3), model, sampling=Sampling(answer_tokens=2048))
        loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    return claim is not None


def rules(context: int) -> dispatch.ClaimRules:
    return dispatch.ClaimRules(affinity_seconds=0, context_tokens=context)


def test_a_worker_with_a_small_context_leaves_a_long_problem_to_one_with_a_larger(
    alice: Client, fleet: Database
) -> None:
    serve(fleet, "wide", 262_144)
    (job,) = alice.submit({"problem": LONG, "checks": CHECKS, "strategy": "single"})
    narrow, wide = Narrow(8192), Narrow(262_144)
    assert turn(fleet, narrow, rules(8192))
    waiting = alice.summary(job)
    assert (waiting.state.final, waiting.context_above, narrow.prompts) == (False, 8192, [])
    assert not turn(fleet, narrow, rules(8192))
    assert turn(fleet, wide, rules(262_144))
    assert alice.summary(job).stop_code is StopCode.DRAFT_REJECTED
    assert all(LONG in prompt for prompt in wide.prompts)
    kinds = [event.kind for event in alice.events(job, timeout=0)]
    assert "left to a larger context" in kinds


def test_a_problem_that_no_worker_can_hold_ends_its_job_with_the_numbers(alice: Client, fleet: Database) -> None:
    (job,) = alice.submit({"problem": LONG, "checks": CHECKS})
    serve(fleet, "narrow", 8192)
    model = Narrow(8192)
    assert turn(fleet, model, rules(8192))
    ended = alice.summary(job)
    assert (ended.state, ended.stop_code, ended.stop_limit) == (JobState.UNSOLVED, StopCode.CONTEXT, 5600)
    assert ended.reason.startswith("the problem with its attachments is 118,")
    assert "the context of narrow is 8,192, an answer needs 2,048" in ended.reason
    assert model.prompts == []


def test_what_a_cut_problem_leaves_out_is_kept_with_each_call(alice: Client, fleet: Database) -> None:
    serve(fleet, "narrow", 8192)
    fields = {"problem": LONG, "checks": CHECKS, "cut": True, "budget": {"iterations": 2}}
    (job,) = alice.submit(fields)
    model = Narrow(8192)
    while turn(fleet, model, rules(8192)):
        pass
    summary, history = alice.summary(job), alice.history(job)
    assert (summary.cut, summary.iterations) == (True, 2)
    assert not any(FACT in prompt for prompt in model.prompts)
    assert len({prompt[: prompt.index("# Task")] for prompt in model.prompts}) == 1
    (left_out,) = summary.left_out
    assert (left_out.block, left_out.calls, left_out.chars) == ("problem", 3, len(LONG))
    assert 440_000 < left_out.left_out < len(LONG) - 20_000
    operators = [[(o.operator, o.left_out) for o in row.omissions] for row in history]
    assert operators == [
        [("draft", left_out.left_out)],
        [("review", left_out.left_out), ("revise", left_out.left_out)],
    ]
    rows = alice.sql(f"SELECT omissions FROM call_history WHERE job = {job.job}").rows
    assert len(rows) == 3
