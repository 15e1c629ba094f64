from __future__ import annotations

from tasks.taskrecords import TaskRecords, TaskState


def test_a_record_says_how_long_ago_its_task_succeeded_and_how_often_it_failed() -> None:
    now = 100.0
    records = TaskRecords(clock=lambda: now)
    relay, outbox = records.of("relay"), records.of("outbox")
    now = 107.0
    relay.succeeded()
    outbox.failed()
    outbox.failed()
    now = 110.0
    assert records.read() == (
        TaskState(task="relay", quiet_seconds=3.0, failures=0),
        TaskState(task="outbox", quiet_seconds=10.0, failures=2),
    )


def test_a_name_has_one_record() -> None:
    records = TaskRecords()
    records.of("relay").failed()
    records.of("relay").failed()
    (state,) = records.read()
    assert state.failures == 2
