from __future__ import annotations

import pytest

from tasks.errors import CanaryFailed, EngineFault
from tests.unit.engine.conftest import StubEngine
from workers.engine.health import ILL_AFTER, EngineHealth
from workers.engine.load import EngineLoad
from workers.engine.probe import canary, counted, fetch, sane
from workers.engine.progress import STALL_SECONDS, Progress


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("Hello! How can I help?", True),
        ("4", True),
        ("Hello hello", True),
        ("", False),
        ("!!!!!!!!", False),
        ("aaaaaaaaaaaa", False),
        ("the the the the the the the", False),
        ("caf\ufffd", False),
        ("ok\x00\x01", False),
    ],
)
def test_the_canary_knows_text_from_garbage(text: str, well: bool) -> None:
    assert sane(text) is well


def test_a_canary_is_greedy_and_passes_on_text(stub: StubEngine) -> None:
    canary(f"{stub.root}/v1", "tiny", prompt="Say hello.", pattern="(?i)hello")
    assert stub.bodies[0]["temperature"] == 0
    assert stub.bodies[0]["model"] == "tiny"


@pytest.mark.parametrize(("status", "answer"), [(200, "!!!!!!!!!!"), (200, "Seven."), (500, "4")])
def test_a_canary_fails_on_garbage_on_a_wrong_answer_and_on_an_error(
    status: int, answer: str, stub: StubEngine
) -> None:
    stub.status, stub.answer = status, answer
    with pytest.raises(EngineFault):
        canary(f"{stub.root}/v1", "tiny", prompt="What is 2 + 2?", pattern=r"\b4\b")


def test_a_refusal_tells_what_the_server_said(stub: StubEngine) -> None:
    with pytest.raises(EngineFault, match=r"404 Not Found .*no such page"):
        fetch(f"{stub.root}/other")


def test_the_engines_own_counters_are_added_up(stub: StubEngine) -> None:
    stub.tokens = 12.0
    assert counted(stub.root) == 17.0


def ask(stub: StubEngine) -> EngineHealth:
    def asking(seconds: float) -> None:
        canary(f"{stub.root}/v1", "tiny", prompt="Say hello.", seconds=seconds)

    def look() -> None:
        fetch(f"{stub.root}/health")

    return EngineHealth(look, asking, lambda: counted(stub.root), canary_every_seconds=0.0, canary_seconds=2.0)


def test_a_well_engine_is_well(stub: StubEngine) -> None:
    heartbeat = ask(stub)
    assert heartbeat.look() is None
    assert len(stub.bodies) == 1


def test_an_engine_is_given_up_after_misses_in_a_row_only(stub: StubEngine) -> None:
    heartbeat = ask(stub)
    stub.healthy = False
    for _ in range(ILL_AFTER - 1):
        assert heartbeat.look() is not None
    assert not heartbeat.given_up
    stub.healthy = True
    assert heartbeat.look() is None
    stub.healthy = False
    for _ in range(ILL_AFTER):
        heartbeat.look()
    assert heartbeat.given_up


def test_an_engine_that_is_healthy_but_answers_nothing_right_is_ill(stub: StubEngine) -> None:
    stub.status = 500
    assert "500" in str(ask(stub).look())


def test_an_engine_whose_counters_go_up_is_busy_not_ill(stub: StubEngine) -> None:
    stub.status, stub.tokens_per_look = 500, 10.0
    assert ask(stub).look() is None


def test_one_that_stands_still_with_requests_is_given_up_without_a_canary(stub: StubEngine) -> None:
    now = 100.0
    load = EngineLoad(running=2, tokens=10, steps=5)
    progress = Progress(lambda: load, None, lambda: now)
    health = EngineHealth(lambda: fetch(f"{stub.root}/health"), lambda seconds: None, lambda: None, progress=progress)
    assert health.look() is None
    now += STALL_SECONDS + 1
    assert health.look() == "its requests got no token for 21 s"
    assert health.given_up


def test_one_whose_canary_waits_behind_others_is_busy_while_it_computes_though_nothing_is_counted(
    stub: StubEngine,
) -> None:
    now, used = 100.0, 0.0
    load = EngineLoad(running=16, tokens=10, steps=5)
    progress = Progress(lambda: load, lambda: used, lambda: now)

    def wait(seconds: float) -> None:
        nonlocal now, used
        now, used = now + 30.0, used + share * 30.0
        raise EngineFault("no answer within 30 s")

    health = EngineHealth(
        lambda: fetch(f"{stub.root}/health"), wait, lambda: None, progress=progress, canary_every_seconds=0.0
    )
    share = 0.6
    assert [health.look() for _ in range(ILL_AFTER + 1)] == [None] * (ILL_AFTER + 1)
    share = 0.05
    assert [health.look() for _ in range(ILL_AFTER)] == ["no answer within 30 s"] * ILL_AFTER
    assert health.given_up


def test_a_wrong_answer_is_ill_though_the_counters_went_up_by_it(stub: StubEngine) -> None:
    stub.answer, stub.tokens_per_look = "!!!!!!!!!!!!", 10.0
    heartbeat = ask(stub)
    for _ in range(ILL_AFTER):
        assert "the canary's answer is wrong" in str(heartbeat.look())
    assert heartbeat.given_up


def test_garbage_is_told_from_silence(stub: StubEngine) -> None:
    stub.answer = "!!!!!!!!!!!!"
    with pytest.raises(CanaryFailed):
        canary(f"{stub.root}/v1", "tiny", prompt="Say hello.")
