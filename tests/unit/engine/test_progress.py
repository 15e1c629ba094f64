"""An engine that stands still is noticed by its counters, one that computes is not blamed."""

from __future__ import annotations

from workers.engine.load import EngineLoad
from workers.engine.progress import STALL_SECONDS, STEP_SECONDS, Progress

LATE = STALL_SECONDS + 1


class Engine:
    """Its counters, its processor time, and the clock on the wall."""

    def __init__(self) -> None:
        self.now, self.cpu = 100.0, 0.0
        self.load: EngineLoad | None = EngineLoad(running=2, tokens=10, steps=5)

    def progress(self, *, on_gpu: bool = False) -> Progress:
        return Progress(lambda: self.load, None if on_gpu else lambda: self.cpu, lambda: self.now)

    def work(self, seconds: float, *, share: float = 0.0) -> None:
        self.now += seconds
        self.cpu += seconds * share


def test_requests_without_a_token_are_a_stall_after_a_while() -> None:
    engine = Engine()
    progress = engine.progress()
    assert progress.stall() is None
    engine.work(STALL_SECONDS - 1)
    assert progress.stall() is None
    engine.work(2)
    assert progress.stall() == "its requests got no token for 21 s"
    engine.load = EngineLoad(running=2, tokens=11, steps=6)
    assert progress.stall() is None


def test_a_long_prompt_moves_the_steps_alone() -> None:
    engine = Engine()
    progress = engine.progress(on_gpu=True)
    for step in range(5):
        engine.load = EngineLoad(running=1, tokens=10, steps=5 + step)
        assert progress.stall() is None
        engine.work(LATE)


def test_on_a_processor_one_long_step_is_no_stall_as_long_as_it_computes() -> None:
    engine = Engine()
    progress = engine.progress()
    assert progress.stall() is None
    engine.work(LATE, share=0.5)
    assert progress.stall() is None
    engine.work(STEP_SECONDS, share=0.5)
    assert progress.stall() is not None


def test_polling_is_not_computing() -> None:
    engine = Engine()
    progress = engine.progress()
    assert progress.stall() is None
    engine.work(LATE, share=0.1)
    assert progress.stall() is not None


def test_on_a_gpu_a_spinning_processor_is_no_excuse() -> None:
    engine = Engine()
    progress = engine.progress(on_gpu=True)
    assert progress.stall() is None
    engine.work(LATE, share=1.0)
    assert progress.stall() is not None


def test_an_idle_engine_may_stand_still() -> None:
    engine = Engine()
    engine.load = EngineLoad(running=0, tokens=10, steps=5)
    progress = engine.progress()
    for _ in range(3):
        assert progress.stall() is None
        engine.work(LATE)
    engine.load = EngineLoad(running=1, tokens=10, steps=5)
    assert progress.stall() is None, "its first request has just come"


def test_a_loop_that_no_longer_reports_stands_still_too_but_a_server_that_never_did_does_not() -> None:
    engine = Engine()
    progress = engine.progress()
    assert progress.stall() is None
    engine.load = None
    engine.work(LATE)
    assert progress.stall() is not None
    assert engine.progress().stall() is None
