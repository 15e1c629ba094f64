"""What the live page reads, on a real Postgres: the right rows, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tasks.board import Board
from tasks.errors import NoSuchJob
from tasks.store.board_rows import JobFilter
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CandidateRef, CheckSpec, JobSpec, JobState

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
# Job 1 has two drafts, a revision of the first and a merge of both; a call in flight, an event, an ended call.
ROWS = (
    "UPDATE leases SET worker = 'w', epoch = 3, lease_until = now() + interval '1 h', phase = 'x' WHERE job_id = 1",
    "UPDATE jobs SET state = 'running', started_at = now() WHERE id = 1",
    """INSERT INTO iterations (job_id, number, operator, move, best_slot, score, improved, finished_at) VALUES
       (1, 1, 'draft', '{"kind": "draft"}', 1, 0.5, true, now()),
       (1, 2, 'aggregate', '{"kind": "aggregate", "parents": [[1, 0], [1, 1]]}', 0, 0.75, true, now())""",
    "INSERT INTO iterations (job_id, number, operator, move) VALUES (1, 3, 'revise', '{\"parents\": [[2, 0]]}')",
    """INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision,
                               parent_iteration, parent_slot, score)
       VALUES (1, 1, 0, 'draft', 'a', 1, 0, 0, NULL, NULL, 0.25), (1, 1, 1, 'draft', 'b', 1, 1, 0, NULL, NULL, 0.5),
              (1, 2, 0, 'aggregate', 'c', 1, 1, 1, 1, 1, 0.75)""",
    """INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback,
                             seconds, worker, epoch)
       VALUES (1, 2, 0, 'answer', 0, 'answer', false, false, 0, 'not 42', 2, 'w', 1)""",
    """INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text, finish_reason,
                          prompt_tokens, cached_tokens, completion_tokens, seconds, worker, epoch)
       VALUES (1, 2, 'aggregate', 0, 1, 'm', '{"messages": [{"role": "user", "content": "merge"}], "seed": 1}', 'h',
               'c', 'stop', 10, 4, 20, 5, 'w', 1)""",
    """INSERT INTO reservations (job_id, epoch, iteration, operator, slot, attempt, tokens, received_tokens, begun_at)
       VALUES (1, 3, 3, 'revise', 0, 1, 500, 40, now() - interval '4 s')""",
)


@pytest.fixture
def ada(login: Callable[..., str], admin_url: str) -> Iterator[Board]:
    with Database(login("ada", "redraft_submitter")) as database:
        for title, tags in (("Add 100% of it", ("x",)), ("Merge slots", ("x", "y")), ("Sort_them", ())):
            submit_jobs(database, [JobSpec(title=title, problem="p", checks=(CHECK,), tags=tags)])
        with Database(admin_url) as admin, admin.begin() as connection:
            for statement in ROWS:
                connection.execute(text(statement.replace(":", "\\:")))
        yield Board(database)


@pytest.fixture
def bob(login: Callable[..., str]) -> Iterator[Board]:
    with Database(login("bob", "redraft_submitter")) as database:
        yield Board(database)


@pytest.mark.parametrize(
    ("wanted", "jobs"),
    [
        (JobFilter(), [3, 2, 1]),
        (JobFilter(text="100%"), [1]),
        (JobFilter(text="%"), [1]),
        (JobFilter(text="_"), [3]),
        (JobFilter(text="merge"), [2]),
        (JobFilter(text="y"), [2]),
        (JobFilter(text="3"), [3]),
        (JobFilter(text="99999999999999999999"), []),
        (JobFilter(tag="x"), [2, 1]),
        (JobFilter(tag="x", state=JobState.RUNNING), [1]),
        (JobFilter(owner="ada", strategy="correct"), [3, 2, 1]),
        (JobFilter(owner="bob"), []),
    ],
)
def test_jobs_are_found_by_words_state_tag_owner_and_strategy(ada: Board, wanted: JobFilter, jobs: list[int]) -> None:
    page = ada.find(wanted, limit=10)
    assert ([line.job for line in page.jobs], page.total, page.more) == (jobs, len(jobs), False)


def test_a_list_is_read_a_page_at_a_time(ada: Board) -> None:
    first = ada.find(JobFilter(), limit=2)
    assert ([line.job for line in first.jobs], first.more, first.total) == ([3, 2], True, 3)
    second = ada.find(JobFilter(), before=2, limit=2)
    assert ([line.job for line in second.jobs], second.more) == ([1], False)


def test_the_night_says_what_is_at_work_and_what_waits(ada: Board) -> None:
    night = ada.night(datetime.now(UTC) - timedelta(hours=1))
    counts = {count.state: count.jobs for count in night.states if count.jobs}
    assert counts == {JobState.RUNNING: 1, JobState.QUEUED: 2}
    assert (night.calls_in_flight, round(night.tokens_per_second)) == (1, 10)
    first = ada.first_submission()
    assert first is not None
    assert timedelta(0) <= night.now - first < timedelta(minutes=10)
    assert [line.job for line in ada.at_work(10)] == [1]
    assert [line.job for line in ada.waiting(10)] == [2, 3]
    work = ada.ended_work(datetime.now(UTC) - timedelta(hours=1), seconds=600)
    assert sum(row.tokens for row in work) == 20
    assert sum(row.check_seconds for row in work) == 2


def test_an_iteration_has_its_candidates_with_their_parents_texts_and_verdicts(ada: Board) -> None:
    detail = ada.iteration(1, 2)
    (candidate,) = detail.candidates
    assert (candidate.text, candidate.parent_text, candidate.line.passed, candidate.line.checks) == ("c", "b", 0, 1)
    assert [str(parent) for parent in detail.line.parents] == ["1.0", "1.1"]
    assert [verdict.feedback for verdict in detail.verdicts] == ["not 42"]
    (call,) = detail.calls
    word_for_word = ada.call(1, call.call)
    assert [(message.role, message.content) for message in word_for_word.messages] == [("user", "merge")]
    assert word_for_word.settings == '{"seed": 1}'


def test_a_job_is_read_by_its_newest_iterations_its_curve_and_its_line(ada: Board) -> None:
    assert [line.iteration for line in ada.iterations(1, limit=2)] == [3, 2]
    assert [line.iteration for line in ada.iterations(1, before=2, limit=2)] == [1]
    assert [(point.iteration, point.score, point.improved) for point in ada.curve(1)] == [
        (1, 0.5, True),
        (2, 0.75, True),
    ]
    assert [str(line.ref) for line in ada.ancestry(1, CandidateRef(iteration=2, slot=0))] == ["1.1", "2.0"]
    (call,) = ada.in_flight(1)
    assert (call.iteration, call.operator, call.tokens) == (3, "revise", 40)
    assert [event.kind for event in ada.events(1, limit=10)]
    assert [str(verdict.ref) for verdict in ada.verdicts(1, after=1)] == ["2.0"]


def test_a_version_changes_with_what_is_shown(ada: Board, admin_url: str) -> None:
    before = ada.version(), ada.job_version(1)
    assert (ada.version(), ada.job_version(1)) == before
    with Database(admin_url) as admin, admin.begin() as connection:
        connection.execute(text("UPDATE leases SET live_tokens = live_tokens + 1 WHERE job_id = 1"))
    after = ada.version(), ada.job_version(1)
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_another_owner_sees_nothing_of_it(ada: Board, bob: Board) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    night = bob.night(since)
    assert not any(count.jobs for count in night.states)
    assert (night.calls_in_flight, night.tokens) == (0, 0)
    assert bob.find(JobFilter(), limit=10).jobs == ()
    assert bob.first_submission() is None
    assert bob.ended_work(since, seconds=600) == ()
    assert bob.curve(1) == bob.iterations(1, limit=9) == bob.candidates(1, 1, 9) == bob.events(1, limit=9) == ()
    assert bob.verdicts(1, after=0) == bob.in_flight(1) == bob.live_text(1) == bob.chosen((1,)) == ()
    assert bob.job_version(1) == ""
    for read in (lambda: bob.iteration(1, 2), lambda: bob.call(1, 1)):
        with pytest.raises(NoSuchJob):
            read()


def test_variants_that_led_to_nothing_are_on_the_page_of_their_iteration_alone(ada: Board, admin_url: str) -> None:
    with Database(admin_url) as admin, admin.begin() as connection:
        connection.execute(
            text("""INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot,
                                            revision, parent_iteration, parent_slot, score)
                    VALUES (1, 2, 1, 'vary', 'd', 1, 1, 1, 1, 1, 0.1), (1, 2, 2, 'vary', 'e', 1, 1, 1, 1, 1, 0.6),
                           (1, 2, 3, 'vary', 'f', 1, 1, 1, 1, 1, 0.2), (1, 3, 0, 'mutate', 'g', 1, 1, 2, 2, 2, 0.1)""")
        )
        connection.execute(text("UPDATE iterations SET best_slot = 3 WHERE job_id = 1 AND number = 2"))
    assert [str(line.ref) for line in ada.candidates(1, 1, 3)] == ["1.0", "1.1", "2.0", "2.2", "2.3", "3.0"]
    assert [str(one.line.ref) for one in ada.iteration(1, 2).candidates] == ["2.0", "2.1", "2.2", "2.3"]
