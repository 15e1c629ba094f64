"""The cloud's turn at a job on a real Postgres: a local model that never solves it, and the stand-in of the API."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from tasks.errors import Cancelled, LeaseLost, ShuttingDown
from tasks.escalation import Escalation
from tasks.journal import JournalledModel, Sampling
from tasks.jury import NoJury
from tasks.llm.prices import prices_of
from tasks.llm.responsebody import CloudTerms
from tasks.llm.responses import OpenAIResponses
from tasks.llm.scripted import ScriptedModel
from tasks.loop import Loop
from tasks.policy import Correct
from tasks.ports import EscalationLedger, Ledger
from tasks.pulse import Silent
from tasks.store import leases
from tasks.store.escalations import PostgresEscalations, abandon
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_egress, job_history, job_summary, request_cancel, submit_jobs
from tasks.store.session import Database
from tasks.tutor import NoTutor
from tasks.types import Budget, CheckSpec, Claim, Egress, JobSpec, JobState, Lane, Usage
from tasks.validators.registry import accepted, score, validate
from tests.doubles import Killed, NoSandbox
from tests.standin.responses import Rule, StandIn, serving
from workers.local.home import free_port

pytestmark = pytest.mark.integration
ALL = frozenset(Lane)
VISIBLE = CheckSpec(name="answer:visible", kind="answer", value={"regex": "[0-9]+"})
HIDDEN = CheckSpec(name="answer:hidden", kind="answer", value={"exact": "4711"}, held_out=True)
RIGHT = Rule(contains="What is the secret?", answer="Thought about it.\nANSWER: 4711")
PRICES = prices_of("gpt-5.4")
FAULT_CAP = 3


class Stopping:
    """A pulse that raises `ended` once `when` says so."""

    def __init__(self, ended: Exception, when: Callable[[], bool]) -> None:
        self._ended, self._when = ended, when

    def beat(self, tokens: int = 0) -> None: ...

    def expect_silence(self, seconds: float) -> None: ...

    def check(self) -> None:
        if self._when():
            raise self._ended

    def checkpoint(self) -> None:
        self.check()


class Mortal:
    """A ledger that dies before or after its n-th write; several may share one `count`."""

    def __init__(self, ledger: object, count: Iterator[int], fatal: int, *, after: bool, log: list[str]) -> None:
        self._ledger, self._count, self._fatal, self._after, self._log = ledger, count, fatal, after, log

    def __getattr__(self, name: str) -> object:
        method = getattr(self._ledger, name)
        if name in ("load", "find_call", "find"):
            return method

        def write(*args: object, **keywords: object) -> object:
            fatal = next(self._count) == self._fatal
            if fatal:
                self._log.append(name)
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
        serve(database)
        yield database


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with serving([RIGHT]) as running:
        yield running


def serve(fleet: Database, lanes: str = "{gpu,fast,check,cloud}") -> None:
    """A live worker presents itself."""
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)
                    VALUES ('w', 'h', 1, CAST(:lanes AS text[]), 4, '0', now() + interval '1 hour')"""),
            {"lanes": lanes},
        )


def put(user: Database, **fields: Any) -> int:
    given = {"budget": Budget(iterations=6), **fields}
    made = JobSpec(title="A secret", problem="What is the secret?", checks=(VISIBLE, HIDDEN), **given)
    return submit_jobs(user, [made])[0].job


def loop(fleet: Database, url: str, *, ledger: Any = None, asked: Any = None, after: int = 2) -> Loop:
    """A loop whose local model never solves anything, and asks the cloud after `after` rejected iterations."""
    kept: Ledger = ledger or PostgresLedger(fleet, fault_cap=8)
    escalations: EscalationLedger = asked or PostgresEscalations(fleet)
    model = ScriptedModel(lambda request: f"a try\nANSWER: {request.seed % 1000}")
    cloud = OpenAIResponses(
        base_url=url, api_key="sk-test", first_event_seconds=20, answer_seconds=60, looks=(0.02, 0.05)
    )
    return Loop(
        ledger=kept,
        model=JournalledModel(ledger=kept, model=model, sampling=Sampling(answer_tokens=64, review_tokens=32)),
        strategies={"correct": Correct()},
        validate=validate,
        judge=lambda verdicts, checks: (score(verdicts, checks), accepted(verdicts, checks)),
        sandbox=NoSandbox(),
        jury=NoJury(),
        tutor=NoTutor(),
        cloud=Escalation(
            ledger=escalations,
            cloud=cloud,
            terms=CloudTerms(model="gpt-5.4", effort="high", output_tokens=4096),
            prices=PRICES,
            fault_cap=FAULT_CAP,
        ),
        move_up_after=3,
        escalate_after=after,
        width=1,
        hours=lambda job: 0.0,
        say=lambda report: None,
    )


def take(fleet: Database, lanes: frozenset[Lane] = ALL) -> Claim | None:
    with fleet.begin() as connection:  # nobody waits in a test
        connection.execute(text("UPDATE leases SET run_at = now()"))
    return leases.claim(fleet, lanes, "w", "turn", leases.ClaimRules(affinity_seconds=0))


def run(fleet: Database, url: str) -> int:
    """Turns until there is nothing to do; returns how many."""
    for turns in itertools.count():
        claim = take(fleet)
        if claim is None:
            return turns
        loop(fleet, url).turn(claim, ALL, Silent())
    raise AssertionError


def until_escalation(fleet: Database, url: str) -> None:
    """Turns until the job's next step is the cloud's."""
    while True:
        with fleet.connect() as connection:
            if connection.execute(text("SELECT lane FROM leases")).scalar_one() == "cloud":
                return
        claim = take(fleet)
        assert claim is not None
        loop(fleet, url).turn(claim, ALL, Silent())


def rows(fleet: Database, job: int) -> list[Any]:
    query = text("SELECT * FROM escalation_history WHERE job = :job ORDER BY 1")
    with fleet.connect() as connection:
        return list(connection.execute(query, {"job": job}))


def events(fleet: Database, job: int) -> list[str]:
    query = text("SELECT kind FROM events WHERE job_id = :job ORDER BY id")
    with fleet.connect() as connection:
        return list(connection.execute(query, {"job": job}).scalars())


def test_a_job_that_the_local_model_cannot_solve_is_escalated_and_accepted_for_one_request(
    user: Database, fleet: Database, standin: StandIn, admin_url: str
) -> None:
    job = put(user)
    run(fleet, standin.url)
    summary = job_summary(user, job)
    assert (summary.state, summary.acceptance, summary.answer) == (JobState.ACCEPTED, "verified", RIGHT.answer)
    assert [i.operator for i in job_history(user, job)] == ["draft", "revise", "escalate"]
    assert standin.posts == 1

    (asked,) = rows(fleet, job)
    assert (asked.state, asked.response_id, asked.text) == ("done", next(iter(standin.made)), RIGHT.answer)
    used = Usage(
        prompt_tokens=asked.prompt_tokens, cached_tokens=asked.cached_tokens, completion_tokens=asked.completion_tokens
    )
    assert 0 < asked.usd == PRICES.cost(used) <= asked.reserved_usd
    assert summary.spend.usd == asked.usd == job_history(user, job)[-1].usd
    assert summary.spend.cloud_tokens == used.prompt_tokens + used.completion_tokens
    with user.connect() as connection:
        spent = connection.execute(text("SELECT usd FROM spend_by_day WHERE model = 'gpt-5.4'")).scalar_one()
    assert spent == asked.usd
    with Database(admin_url) as admin:
        assert breaches(admin, submitted=[job], drained=True) == ()


def test_what_left_is_what_is_kept_and_holds_nothing_of_what_is_held_out(
    user: Database, fleet: Database, standin: StandIn
) -> None:
    job = put(user)
    run(fleet, standin.url)
    (left,) = job_egress(user, job)
    (body,) = standin.bodies
    assert body == rows(fleet, job)[0].request
    assert left.state == "done"
    prompt = body["input"]
    assert "What is the secret?" in prompt
    assert "a try" in prompt
    assert "A hidden check failed." in prompt
    assert "4711" not in left.request
    assert "answer:hidden" not in left.request


@pytest.mark.parametrize("egress", [Egress.NEVER, Egress.HINT])
def test_a_job_that_must_stay_at_home_ends_unsolved_and_nothing_is_sent(
    user: Database, fleet: Database, standin: StandIn, egress: Egress
) -> None:
    job = put(user, egress=egress)
    run(fleet, standin.url)
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert (standin.posts, standin.connections) == (0, 0)
    assert rows(fleet, job) == []
    assert job_egress(user, job) == ()


def test_even_an_escalation_that_was_decided_sends_nothing_of_a_job_that_must_stay_at_home(
    user: Database, fleet: Database, standin: StandIn
) -> None:
    job = put(user)
    until_escalation(fleet, standin.url)
    with fleet.begin() as connection:
        connection.execute(text("UPDATE jobs SET egress = 'never'"))
    run(fleet, standin.url)
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert (standin.connections, rows(fleet, job)) == (0, [])


def test_without_a_worker_for_the_cloud_the_job_stays_local(user: Database, fleet: Database, standin: StandIn) -> None:
    with fleet.begin() as connection:
        connection.execute(text("UPDATE workers SET lanes = '{gpu,check}'"))
    job = put(user)
    run(fleet, standin.url)
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert standin.posts == 0


def test_a_rejected_answer_of_the_cloud_ends_the_job_unsolved(user: Database, fleet: Database) -> None:
    with serving([Rule(answer="ANSWER: 5")]) as standin:
        job = put(user)
        run(fleet, standin.url)
        summary = job_summary(user, job)
        assert (summary.state, summary.iterations, standin.posts) == (JobState.UNSOLVED, 3, 1)
    assert "cloud" in summary.reason
    assert summary.answer
    assert rows(fleet, job)[0].state == "done"


def test_a_crash_before_or_after_any_write_sends_at_most_one_request(
    user: Database, fleet: Database, admin_url: str
) -> None:
    unknown: list[tuple[str, bool]] = []
    with Database(admin_url) as admin:
        for after in (False, True):
            for fatal in itertools.count():
                with serving([RIGHT]) as standin:
                    killed = _crash(user, fleet, standin, fatal, after=after)
                    assert standin.posts <= 1
                    assert breaches(admin, drained=True) == ()
                    job = max(row.job for row in _jobs(fleet))
                    (asked,) = rows(fleet, job)
                    state = job_summary(user, job).state
                    if asked.state == "unknown":
                        unknown.append((killed[0], after))
                        assert (state, asked.usd) == (JobState.UNSOLVED, asked.reserved_usd)
                    else:
                        assert (asked.state, state, standin.posts) == ("done", JobState.ACCEPTED, 1)
                if not killed:
                    break
    # Only between the intent and the id does nobody know what became of the request.
    assert unknown == [("identify", False), ("intend", True)]


def _crash(user: Database, fleet: Database, standin: StandIn, fatal: int, *, after: bool) -> list[str]:
    """One job whose worker is killed at one write; which write that was."""
    put(user, budget=Budget(iterations=3))
    log: list[str] = []
    count = itertools.count()
    while (claim := take(fleet)) is not None:
        ledger: object = PostgresLedger(fleet, fault_cap=8)
        asked: object = PostgresEscalations(fleet)
        if not log:
            ledger = Mortal(ledger, count, fatal, after=after, log=log)
            asked = Mortal(asked, count, fatal, after=after, log=log)
        try:
            loop(fleet, standin.url, ledger=ledger, asked=asked, after=1).turn(claim, ALL, Silent())
        except Killed:
            with fleet.begin() as connection:
                connection.execute(text("UPDATE leases SET lease_until = now() - interval '1 s'"))
            leases.reap(fleet, crash_cap=3)
    return log


def _jobs(fleet: Database) -> list[Any]:
    with fleet.connect() as connection:
        return list(connection.execute(text("SELECT id AS job FROM jobs")))


@pytest.mark.parametrize("budget", [Budget(iterations=5, usd=Decimal("0.01")), Budget(iterations=5, tokens=4500)])
def test_what_the_budget_cannot_pay_for_is_not_sent(
    user: Database, fleet: Database, standin: StandIn, budget: Budget, admin_url: str
) -> None:
    job = put(user, budget=budget)
    run(fleet, standin.url)
    summary = job_summary(user, job)
    assert (summary.state, summary.spend.usd, standin.posts) == (JobState.UNSOLVED, 0, 0)
    (asked,) = rows(fleet, job)
    assert asked.state == "refused"
    assert "are left" in asked.error
    assert "escalation refused" in events(fleet, job)
    assert [i.operator for i in job_history(user, job)].count("escalate") == 1
    assert job_egress(user, job) == ()
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


@pytest.mark.parametrize(
    ("fault", "state", "charged"),
    [
        ("unauthorized", "failed", "nothing"),
        ("rate_limit", "failed", "nothing"),
        ("server_error", "unknown", "all"),
        ("drop_before_created", "unknown", "all"),
        ("forgotten", "unknown", "all"),
        ("failed", "failed", "all"),
        ("incomplete", "failed", "some"),
    ],
)
def test_a_request_without_an_answer_is_charged_honestly_and_the_job_goes_on_locally(
    user: Database, fleet: Database, admin_url: str, fault: str, state: str, charged: str
) -> None:
    with serving([dataclasses.replace(RIGHT, fault=fault)]) as standin:
        job = put(user)
        run(fleet, standin.url)
        assert standin.posts == 1
    (asked,) = rows(fleet, job)
    assert asked.state == state
    assert asked.error
    expected = {"nothing": asked.usd == 0, "all": asked.usd == asked.reserved_usd, "some": asked.usd > 0}
    assert expected[charged]
    assert job_summary(user, job).spend.usd == asked.usd
    operators = [i.operator for i in job_history(user, job)]
    assert (len(operators), operators.count("escalate")) == (6, 1)
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_a_cloud_that_cannot_be_reached_is_tried_again_and_asked_once(user: Database, fleet: Database) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    job = put(user)
    until_escalation(fleet, url)
    claim = take(fleet)
    assert claim is not None
    loop(fleet, url).turn(claim, ALL, Silent())
    (asked,) = rows(fleet, job)
    assert (asked.state, asked.finished_at) == ("unsent", None)
    assert "fault" in events(fleet, job)
    with serving([RIGHT], port=port) as standin:
        run(fleet, url)
        assert standin.posts == 1
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert rows(fleet, job)[0].state == "done"


def test_a_cloud_that_stays_away_costs_nothing_and_the_job_goes_on_locally(
    user: Database, fleet: Database, admin_url: str
) -> None:
    job = put(user)
    run(fleet, f"http://127.0.0.1:{free_port()}/v1")
    summary = job_summary(user, job)
    assert (summary.state, summary.iterations, summary.spend.usd) == (JobState.UNSOLVED, 6, 0)
    (asked,) = rows(fleet, job)
    assert (asked.state, asked.usd) == ("unsent", 0)
    assert asked.finished_at is not None
    assert events(fleet, job).count("fault") == FAULT_CAP - 1
    assert job_egress(user, job) == ()
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_an_answer_that_cannot_be_fetched_is_given_up_at_its_full_price(
    user: Database, fleet: Database, admin_url: str
) -> None:
    job = put(user)
    with serving([RIGHT]) as standin:
        until_escalation(fleet, standin.url)
        claim = take(fleet)
        assert claim is not None
        shutting = Stopping(
            ShuttingDown("drained"), lambda: bool(rows(fleet, job)[:1] and rows(fleet, job)[0].response_id)
        )
        with serving([dataclasses.replace(RIGHT, fault="endless")]) as slow:
            loop(fleet, slow.url).turn(claim, ALL, shutting)
            assert slow.posts == 1
    assert rows(fleet, job)[0].state == "running"
    run(fleet, f"http://127.0.0.1:{free_port()}/v1")
    (asked,) = rows(fleet, job)
    assert (asked.state, asked.usd) == ("unknown", asked.reserved_usd)
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_a_worker_that_shuts_down_leaves_the_response_to_the_next_which_fetches_it(
    user: Database, fleet: Database
) -> None:
    with serving([dataclasses.replace(RIGHT, delay_seconds=0.05)]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet)
        assert claim is not None
        shutting = Stopping(ShuttingDown("drained"), lambda: any(row.response_id for row in rows(fleet, job)))
        loop(fleet, standin.url).turn(claim, ALL, shutting)
        assert (rows(fleet, job)[0].state, standin.cancels) == ("running", 0)
        run(fleet, standin.url)
        assert standin.posts == 1
    assert job_summary(user, job).state is JobState.ACCEPTED


def test_a_cancelled_job_cancels_its_response_and_is_charged(user: Database, fleet: Database, admin_url: str) -> None:
    with serving([dataclasses.replace(RIGHT, fault="endless")]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet)
        assert claim is not None
        cancelled = Stopping(Cancelled("by its owner"), lambda: any(row.response_id for row in rows(fleet, job)))
        loop(fleet, standin.url).turn(claim, ALL, cancelled)
        assert (standin.posts, standin.cancels) == (1, 1)
    summary = job_summary(user, job)
    (asked,) = rows(fleet, job)
    assert (summary.state, asked.state, asked.usd) == (JobState.CANCELLED, "failed", asked.reserved_usd)
    assert summary.spend.usd == asked.usd
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_what_a_finished_job_has_left_open_is_charged_in_full(user: Database, fleet: Database, admin_url: str) -> None:
    with serving([dataclasses.replace(RIGHT, delay_seconds=0.05)]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet)
        assert claim is not None
        shutting = Stopping(ShuttingDown("drained"), lambda: any(row.response_id for row in rows(fleet, job)))
        loop(fleet, standin.url).turn(claim, ALL, shutting)
        assert abandon(fleet) == ()
        assert request_cancel(user, job) is JobState.CANCELLED
        assert abandon(fleet) == (job,)
        assert abandon(fleet) == ()
    (asked,) = rows(fleet, job)
    assert (asked.state, asked.usd) == ("unknown", asked.reserved_usd)
    assert job_summary(user, job).spend.usd == asked.usd
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_a_stale_worker_may_neither_ask_nor_settle(user: Database, fleet: Database, standin: StandIn) -> None:
    job = put(user)
    until_escalation(fleet, standin.url)
    claim = take(fleet)
    assert claim is not None
    stale = dataclasses.replace(claim, epoch=claim.epoch - 1)
    running = loop(fleet, standin.url)
    loaded = running.ledger.load(claim)
    with pytest.raises(LeaseLost):
        running.cloud.answer(stale, loaded, 3, Silent())
    assert (standin.posts, rows(fleet, job)) == (0, [])


def test_each_step_of_an_escalation_runs_on_its_lane(user: Database, fleet: Database, standin: StandIn) -> None:
    job = put(user)
    until_escalation(fleet, standin.url)
    assert take(fleet, frozenset({Lane.GPU, Lane.FAST, Lane.CHECK})) is None
    for lane in (Lane.CLOUD, Lane.CHECK):
        claim = take(fleet, frozenset({lane}))
        assert claim is not None, lane
        loop(fleet, standin.url).turn(claim, frozenset({lane}), Silent())
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert standin.posts == 1


def test_a_job_of_lane_fast_moves_up_after_its_rejections_and_says_so_once(
    user: Database, fleet: Database, standin: StandIn
) -> None:
    job = put(user, lane=Lane.FAST, egress=Egress.NEVER)
    lanes: list[str] = []
    while (claim := take(fleet)) is not None:
        with fleet.connect() as connection:
            lanes.append(connection.execute(text("SELECT lane FROM leases")).scalar_one())
        loop(fleet, standin.url).turn(claim, ALL, Silent())
    assert lanes == ["fast"] * 3 + ["gpu"] * 3
    assert events(fleet, job).count("moved up") == 1
    summary = job_summary(user, job)
    assert (summary.lane, summary.moved_up) == (Lane.FAST, True)


def test_a_job_of_lane_fast_that_ends_before_never_moves_up(user: Database, fleet: Database, standin: StandIn) -> None:
    job = put(user, lane=Lane.FAST, budget=Budget(iterations=2), egress=Egress.NEVER)
    run(fleet, standin.url)
    assert "moved up" not in events(fleet, job)
    assert not job_summary(user, job).moved_up
