"""Why an engine does not answer, kept until it does."""

from __future__ import annotations

from workers.engine.outage import WHY_CHARS, Outages


def test_a_reason_is_one_line_with_its_beginning_and_its_last_restart() -> None:
    outages = Outages()
    outages.fails(
        "the engine ended: there is too little free memory; end what uses it\ncudaErrorAlloc\n(the whole log: x)"
    )
    first = outages.now
    assert first is not None
    assert first.why == "there is too little free memory"
    assert first.restarted_seconds is None
    outages.restarted()
    outages.fails("x" * 9000)
    second = outages.now
    assert second is not None
    assert second.since == first.since
    assert second.restarted_seconds is not None
    assert second.why == "x" * WHY_CHARS


def test_an_engine_that_answers_has_none() -> None:
    outages = Outages()
    outages.restarted()
    assert outages.now is None
    outages.fails("it is gone")
    outages.ends()
    assert outages.now is None
