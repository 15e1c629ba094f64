"""The loop on a real Postgres with a scripted model: crashes at every step end as the run without them."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from tasks.errors import EngineFault, InvalidInput, Paused, ShuttingDown
from tasks.escalation import NoCloud
from tasks.journal import JournalledModel, Sampling
from tasks.jury import NoJury
from tasks.llm.chat import OpenAIChatModel
from tasks.llm.scripted import ScriptedModel
from tasks.loop import Loop
from tasks.policy import BestOfN, Correct, Single
from tasks.ports import ChatModel, Ledger
from tasks.pulse import Silent
from tasks.store import leases, verbs
from tasks.store.attachments import read_content
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary, submit_jobs
from tasks.store.session import Database
from tasks.tutor import NoTutor
from tasks.types import (
    Attachment,
    Budget,
    Changes,
    ChatRequest,
    CheckSpec,
    Claim,
    Egress,
    JobSpec,
    JobState,
    Lane,
    Modality,
)
from tasks.validators.registry import accepted, score, validate
from tests.doubles import Killed, NoSandbox
from tests.integration.endpoint import serving

pytestmark = pytest.mark.integration
ALL = frozenset({Lane.GPU, Lane.CHECK})
ANSWER = CheckSpec(name="answer:answer", kind="answer", value={"exact": "42"})
HIDDEN = CheckSpec(name="answer:hidden", kind="answer", value={"regex": "[0-9]+"}, held_out=True)


class Mortal:
    """A ledger that dies before or after its n-th write."""

    def __init__(self, ledger: PostgresLedger, fatal: int, *, after: bool) -> None:
        self._ledger, self._fatal, self._after, self._writes = ledger, fatal, after, itertools.count()

    def __getattr__(self, name: str) -> object:
        method = getattr(self._ledger, name)
        if name in ("load", "find_call"):
            return method

        def write(*args: object, **keywords: object) -> object:
            fatal = next(self._writes) == self._fatal
            if fatal and not self._after:
                raise Killed
            done = method(*args, **keywords)
            if fatal:
                raise Killed
            return done

        return write


@pytest.fixture
def user(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("alice")) as database:
        yield database


@pytest.fixture
def fleet(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("fleet", "redraft_worker")) as database:
        yield database


def answer(request: ChatRequest) -> str:
    """Right at the second revision only; each answer is a function of its prompt and seed."""
    prompt = request.messages[-1].content
    if "ANSWER: 3" in prompt:
        return "then it is\nANSWER: 42"
    return "then it is\nANSWER: 3" if "ANSWER: 7" in prompt else "first\nANSWER: 7"


def loop(
    ledger: Ledger, model: ChatModel, width: int = 1, modalities: frozenset[Modality] = frozenset(Modality)
) -> Loop:
    return Loop(
        ledger=ledger,
        model=JournalledModel(ledger=ledger, model=model, sampling=Sampling(answer_tokens=64, review_tokens=32)),
        strategies={"correct": Correct(), "single": Single(), "best_of_n": BestOfN()},
        validate=validate,
        judge=lambda verdicts, checks: (score(verdicts, checks), accepted(verdicts, checks)),
        sandbox=NoSandbox(),
        jury=NoJury(),
        tutor=NoTutor(),
        cloud=NoCloud(),
        move_up_after=3,
        escalate_after=10,
        width=width,
        hours=lambda job: 0.0,
        say=lambda report: None,
        modalities=modalities,
    )


def put(user: Database, **fields: object) -> int:
    made = JobSpec(
        title="t", problem="What is six times seven?", checks=(ANSWER, HIDDEN), egress=Egress.NEVER, **fields
    )  # type: ignore[arg-type]
    return submit_jobs(user, [made])[0].job


def take(fleet: Database) -> Claim | None:
    with fleet.begin() as connection:  # nobody waits in a test
        connection.execute(text("UPDATE leases SET run_at = now()"))
    return leases.claim(fleet, [Lane.GPU, Lane.CHECK], "w", "turn", leases.ClaimRules(affinity_seconds=0))


def run(fleet: Database, ledger: PostgresLedger, model: ChatModel, lanes: frozenset[Lane] = ALL, width: int = 1) -> int:
    """Turns until there is nothing to do; returns how many."""
    for turns in itertools.count():
        claim = take(fleet)
        if claim is None:
            return turns
        loop(ledger, model, width).turn(claim, lanes, Silent())
    raise AssertionError


def final(user: Database, job: int) -> tuple[object, ...]:
    """What a run came to, without moments and workers."""
    summary = job_summary(user, job)
    rounds = [
        (i.iteration, i.operator, i.candidate, i.score, i.decision, i.completion_tokens) for i in job_history(user, job)
    ]
    return (
        summary.state,
        summary.answer,
        summary.answer_iteration,
        summary.acceptance,
        summary.spend.local_tokens,
        rounds,
    )


def test_a_job_is_corrected_until_the_held_out_check_accepts(user: Database, fleet: Database) -> None:
    job = put(user)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(answer))
    summary = job_summary(user, job)
    assert (summary.state, summary.acceptance, summary.answer_iteration) == (JobState.ACCEPTED, "verified", 3)
    assert "ANSWER: 42" in (summary.answer or "")
    assert [i.operator for i in job_history(user, job)] == ["draft", "revise", "revise"]


def test_a_crash_before_or_after_any_write_changes_nothing(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    expected_job = put(user)
    run(fleet, ledger, ScriptedModel(answer))
    expected = final(user, expected_job)
    crashes = 0
    for after in (False, True):
        for fatal in itertools.count():
            job, died = put(user), False
            while (claim := take(fleet)) is not None:
                try:
                    mortal: Ledger = ledger if died else Mortal(ledger, fatal, after=after)  # type: ignore[assignment]
                    loop(mortal, ScriptedModel(answer)).turn(claim, ALL, Silent())
                except Killed:
                    died = True
                    crashes += 1
                    with fleet.begin() as connection:
                        connection.execute(text("UPDATE leases SET lease_until = now() - interval '1 s'"))
                    leases.reap(fleet, crash_cap=3)
            assert final(user, job) == expected
            if not died:
                break
    assert crashes >= 8  # every kind of write, before and after


def test_each_step_runs_on_its_lane_and_the_lease_is_handed_over(user: Database, fleet: Database) -> None:
    job, ledger, model = put(user), PostgresLedger(fleet, fault_cap=3), ScriptedModel(answer)
    claim = take(fleet)
    assert claim is not None
    loop(ledger, model).turn(claim, frozenset({Lane.GPU}), Silent())
    assert leases.claim(fleet, [Lane.GPU], "w", "t", leases.ClaimRules()) is None
    checker = leases.claim(fleet, [Lane.CHECK], "w", "t", leases.ClaimRules())
    assert checker is not None
    loop(ledger, model).turn(checker, frozenset({Lane.CHECK}), Silent())
    assert job_summary(user, job).iterations == 1
    assert leases.claim(fleet, [Lane.GPU], "w", "t", leases.ClaimRules()) is not None


def test_a_spent_budget_ends_unsolved_with_the_incumbent(user: Database, fleet: Database) -> None:
    job = put(user, budget=Budget(iterations=2))
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(lambda request: f"ANSWER: {request.seed % 7}"))
    summary = job_summary(user, job)
    assert summary.state is JobState.UNSOLVED
    assert "2 iterations" in summary.reason
    assert summary.answer


def test_tokens_never_pass_the_budget(user: Database, fleet: Database) -> None:
    job = put(user, budget=Budget(tokens=400))
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(lambda request: "no " * 500), width=2)
    summary = job_summary(user, job)
    assert summary.state is JobState.UNSOLVED
    assert summary.spend.local_tokens <= 400


def test_a_degenerate_draft_is_tried_three_times_and_never_shown_again(user: Database, fleet: Database) -> None:
    prompts: list[str] = []

    def endless(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return "round and round it goes, " * 200

    job = put(user, budget=Budget(iterations=2))
    ledger = PostgresLedger(fleet, fault_cap=3)
    run(fleet, ledger, ScriptedModel(endless, context_tokens=8192))
    rounds = job_history(user, job)
    assert [(i.operator, i.guard) for i in rounds] == [("draft", "cycle"), ("restart", "cycle")]
    assert len(prompts) == 6
    assert not any("round and round" in prompt for prompt in prompts)
    assert job_summary(user, job).answer is None


def test_an_engine_that_fails_delays_the_job_and_its_work_goes_on_when_it_is_back(
    user: Database, fleet: Database
) -> None:
    ill = itertools.chain([True], itertools.repeat(False))

    def answers(request: ChatRequest) -> str:
        if next(ill):
            raise EngineFault("it hung")
        return answer(request)

    job = put(user)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(answers))
    assert job_summary(user, job).state is JobState.ACCEPTED
    with fleet.connect() as connection:
        noted = connection.execute(
            text("SELECT detail FROM events WHERE job_id = :j AND kind = 'fault'"), {"j": job}
        ).scalar_one()
    assert noted == "engine: it hung"


class Stopping(Silent):
    """A pulse that stops the step at its n-th check."""

    def __init__(self, error: Exception, after: int) -> None:
        self._error, self._left = error, after

    def check(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._error


def test_a_job_paused_at_any_step_ends_as_the_run_without_a_pause(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    expected_job = put(user)
    run(fleet, ledger, ScriptedModel(answer))
    expected, pauses = final(user, expected_job), 0
    for after in itertools.count():
        job = put(user)
        claim = take(fleet)
        assert claim is not None
        verbs.request_pause(user, job)
        loop(ledger, ScriptedModel(answer)).turn(claim, ALL, Stopping(Paused("by its owner"), after))
        assert job_summary(user, job).state is JobState.PAUSED
        assert take(fleet) is None
        recorded = job_summary(user, job).iterations
        pauses += recorded == 0
        verbs.resume(user, job)
        run(fleet, ledger, ScriptedModel(answer))
        assert final(user, job) == expected
        if recorded:
            break
    assert pauses >= 2


def test_a_turn_that_its_worker_ends_is_taken_up_before_any_other(user: Database, fleet: Database) -> None:
    job = put(user)
    ledger = PostgresLedger(fleet, fault_cap=3)
    claim = take(fleet)
    assert claim is not None
    put(user, priority=9)
    ending = Stopping(ShuttingDown("the worker is told to stop"), 1)
    loop(ledger, ScriptedModel(answer)).turn(claim, ALL, ending)
    again = take(fleet)
    assert again is not None
    assert again.job == job


def events(fleet: Database, job: int) -> list[str]:
    with fleet.connect() as connection:
        found = connection.execute(text("SELECT kind FROM events WHERE job_id = :j ORDER BY id"), {"j": job})
        return list(found.scalars())


class Draining(Silent):
    """A pulse that stops the step at its n-th checkpoint, and nowhere else."""

    def __init__(self, after: int) -> None:
        self._left = after

    def checkpoint(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ShuttingDown("worker w is shutting down")


def test_a_job_handed_back_at_any_checkpoint_is_free_at_once_and_asks_for_nothing_twice(
    user: Database, fleet: Database
) -> None:
    ledger, prompts = PostgresLedger(fleet, fault_cap=3), list[str]()

    def counted(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return answer(request)

    expected_job = put(user)
    run(fleet, ledger, ScriptedModel(counted))
    expected, asked = final(user, expected_job), list(prompts)
    for after in itertools.count():
        prompts.clear()
        job = put(user)
        claim = take(fleet)
        assert claim is not None
        loop(ledger, ScriptedModel(counted)).turn(claim, ALL, Draining(after))
        assert after or not prompts, "the first checkpoint is before the first call"
        handed_back = "handed back" in events(fleet, job)
        run(fleet, ledger, ScriptedModel(counted))
        assert final(user, job) == expected
        assert prompts == asked
        if not handed_back:
            break
    assert after >= 2


def test_a_retried_job_goes_on_with_its_history_and_its_larger_budget(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    whole = put(user)
    run(fleet, ledger, ScriptedModel(answer))
    rounds = [row.candidate for row in job_history(user, whole)]
    job = put(user, budget=Budget(iterations=1))
    run(fleet, ledger, ScriptedModel(answer))
    assert job_summary(user, job).state is JobState.UNSOLVED
    verbs.retry(user, job, Changes(iterations=5))
    run(fleet, ledger, ScriptedModel(answer))
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert [row.candidate for row in job_history(user, job)] == rounds
    assert breaches(fleet, drained=True) == ()


def test_a_job_that_ran_out_of_tokens_between_records_goes_on_with_more(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    job = put(user, budget=Budget(tokens=400))
    run(fleet, ledger, ScriptedModel(answer))
    assert "tokens is spent" in job_summary(user, job).reason
    with pytest.raises(InvalidInput, match="'tokens=400' is not allowed; that is spent"):
        verbs.retry(user, job, Changes())
    verbs.retry(user, job, Changes(tokens=40_000))
    run(fleet, ledger, ScriptedModel(answer))
    assert job_summary(user, job).state is JobState.ACCEPTED


def test_a_fork_goes_its_own_way_from_the_iteration_it_began_with(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    job = put(user)
    run(fleet, ledger, ScriptedModel(answer))
    forked = verbs.fork(user, job, 1, Changes())
    seeds: set[int] = set()

    def other(request: ChatRequest) -> str:
        seeds.add(request.seed)
        return answer(request)

    run(fleet, ledger, ScriptedModel(other))
    summary = job_summary(user, forked)
    assert (summary.state, summary.iterations) == (JobState.ACCEPTED, 3)
    with fleet.connect() as connection:
        asked = text("SELECT (request ->> 'seed')::bigint FROM calls WHERE job_id = :j")
        assert seeds.isdisjoint(connection.execute(asked, {"j": job}).scalars())
        began = text("SELECT min(iteration) FROM calls WHERE job_id = :j")
        assert connection.execute(began, {"j": forked}).scalar_one() == 2
    assert breaches(fleet, submitted=[job, forked], drained=True) == ()


CONTENTS = {hashlib.sha256(content).hexdigest(): content for content in (b"x,y\n1,2\n", b"\x89PNG\r\n\x1a\n")}
TABLE, PICTURE = (
    Attachment(name=name, media_type=media_type, sha256=sha256, bytes=len(CONTENTS[sha256]))
    for sha256, name, media_type in zip(CONTENTS, ("t.csv", "p.png"), ("text/plain", "image/png"), strict=True)
)
TEXT_ONLY = frozenset({Modality.TEXT})


def put_with_files(user: Database, fleet: Database) -> int:
    """A job with a table and a picture, handed in while a model that takes pictures is served."""
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, modalities)
                    VALUES ('eyes', 'h', 1, '{gpu}', 1, '0', '{text,image}')""")
        )
    spec = JobSpec(title="t", problem="What is six times seven?", checks=(ANSWER,), attachments=(TABLE, PICTURE))
    return submit_jobs(user, [spec], CONTENTS)[0].job


def test_attachments_reach_the_model_and_the_journal_keeps_their_hashes_only(user: Database, fleet: Database) -> None:
    asked: list[ChatRequest] = []

    def look(request: ChatRequest) -> str:
        asked.append(request)
        return answer(request)

    job = put_with_files(user, fleet)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(look))
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert {len(request.messages[-1].attachments) for request in asked} == {1}
    (shown,) = asked[0].messages[-1].attachments
    assert (shown.name, shown.owner, read_content(fleet, shown)) == ("p.png", "alice", CONTENTS[PICTURE.sha256])
    assert all("Attached file t.csv:\n```\nx,y\n1,2\n```" in request.messages[-1].content for request in asked)
    with user.connect() as connection:
        (request,) = connection.execute(text("SELECT request FROM calls ORDER BY id LIMIT 1")).one()
    assert [a["sha256"] for a in request["messages"][-1]["attachments"]] == [PICTURE.sha256]
    assert "content" not in request["messages"][-1]["attachments"][0]


def test_the_stored_bytes_arrive_at_the_endpoint(user: Database, fleet: Database) -> None:
    job, ledger, media = put_with_files(user, fleet), PostgresLedger(fleet, fault_cap=3), list[str]()
    with serving(lambda text: "ANSWER: 42" if "x,y\n1,2" in text else "blind", media) as url:
        model = OpenAIChatModel(
            base_url=url,
            model="tiny",
            api_key="none",
            context_tokens=8192,
            first_token_seconds=20.0,
            token_silence_seconds=20.0,
            extra={},
            engine="test",
            files=functools.partial(read_content, fleet),
        )
        run(fleet, ledger, model)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert media == [f"data:image/png;base64,{base64.b64encode(CONTENTS[PICTURE.sha256]).decode()}"]


def test_a_worker_whose_model_takes_text_only_leaves_the_model_calls_to_others(user: Database, fleet: Database) -> None:
    job, ledger, seen = put_with_files(user, fleet), PostgresLedger(fleet, fault_cap=3), list[str]()

    def turn(worker: str, lane: Lane, modalities: frozenset[Modality]) -> bool:
        def look(request: ChatRequest) -> str:
            seen.append(worker)
            return answer(request)

        rules = leases.ClaimRules(affinity_seconds=0, modalities=modalities)
        claim = leases.claim(fleet, [lane], worker, "t", rules)
        if claim is not None:
            lanes = frozenset({lane} if worker == "eyes" else ALL)
            loop(ledger, ScriptedModel(look), modalities=modalities).turn(claim, lanes, Silent())
        return claim is not None

    for _ in range(2):
        assert not turn("blind", Lane.GPU, TEXT_ONLY)
        assert turn("eyes", Lane.GPU, frozenset(Modality))
        assert turn("blind", Lane.CHECK, TEXT_ONLY)  # and goes no further, though it serves both lanes
    assert set(seen) == {"eyes"}
    assert job_summary(user, job).iterations == 2


def test_a_job_whose_attachment_is_gone_ends_failed_with_the_reason(user: Database, fleet: Database) -> None:
    job = put_with_files(user, fleet)
    with fleet.begin() as connection:
        connection.execute(text("UPDATE attachments SET content = 'other' WHERE media_type = 'text/plain'"))
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(answer))
    summary = job_summary(user, job)
    assert summary.state is JobState.FAILED
    assert "the attachment t.csv" in summary.reason
    assert "was changed in the store" in summary.reason
