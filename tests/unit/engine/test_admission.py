"""Who may use the engine now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tasks.errors import Cancelled, ShuttingDown
from tasks.heartbeat import SilentHeartbeat
from tasks.journal import NO_ADMISSION
from tasks.types import Message, RequestSize
from tests.doubles import Draining
from workers.engine.admission import READ_EVERY_SECONDS, SETTLE_SECONDS, AdmissionController
from workers.engine.load import EngineLoad

TURNS = "abcdefghi"
IDLE = EngineLoad(kv_blocks=100, block_tokens=16)


def space(made: int, prompt: int = 0, text: str = "a problem") -> RequestSize:
    """What a request takes that may write `made` tokens after `prompt` tokens."""
    messages = (Message(role="user", content=text),)
    return RequestSize(messages=messages, prompt_tokens=prompt, completion_tokens=made)


class Engine:
    """Says its load; its clock stands still until it is moved."""

    def __init__(self, load: EngineLoad | None = IDLE) -> None:
        self.load, self.now, self.readings = load, 100.0, 0

    def read(self) -> EngineLoad | None:
        self.readings += 1
        return self.load

    def clock(self) -> float:
        return self.now

    def controller(self, requests: int = 4, width: int = 2) -> AdmissionController:
        return AdmissionController(requests=requests, width=width, read=self.read, clock=self.clock)


class Impatient(SilentHeartbeat):
    """Stops what waits."""

    def check(self) -> None:
        raise Cancelled("enough")


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_turns_are_taken_until_the_slots_are_full_and_as_many_requests_wait() -> None:
    controller = Engine().controller(requests=4, width=2)
    assert [controller.take_turn(turn, 0) for turn in TURNS[:5]] == [True, True, True, True, False]


def test_a_turn_that_has_settled_counts_with_the_requests_it_has(held: ExitStack) -> None:
    engine = Engine()
    controller = engine.controller(requests=4, width=2)
    for turn in TURNS[:4]:
        assert controller.take_turn(turn, 0)
    for _ in range(4):
        held.enter_context(controller.admit(space(16), SilentHeartbeat()))
    engine.now += SETTLE_SECONDS
    assert controller.take_turn("e", 0), "four of the eight requests have ended, and a turn asks two"
    assert controller.take_turn("f", 0)
    assert not controller.take_turn("g", 0)


def test_a_turn_that_has_left_makes_room_at_once() -> None:
    controller = Engine().controller(requests=4, width=2)
    for turn in TURNS:
        assert controller.take_turn(turn, 0)
        controller.on_turn_end(turn)


@pytest.mark.parametrize("load", [EngineLoad(waiting=1), EngineLoad(kv_usage=0.95)])
def test_no_turn_is_taken_while_others_wait_or_fill_the_kv_space(load: EngineLoad) -> None:
    assert not Engine(load).controller().take_turn("a", 0)


def test_an_engine_without_metrics_gets_a_fixed_number() -> None:
    controller = Engine(None).controller(requests=4, width=1)
    assert [controller.take_turn(turn, 0) for turn in TURNS[:9]] == [True] * 8 + [False]


def test_the_load_is_read_again_only_after_a_while() -> None:
    engine = Engine()
    controller = engine.controller()
    controller.take_turn("a", 0)
    controller.take_turn("a", 0)
    assert engine.readings == 1
    engine.now += READ_EVERY_SECONDS
    controller.take_turn("a", 0)
    assert engine.readings == 2


def test_a_request_waits_for_a_seat_and_gets_it_when_one_leaves() -> None:
    controller, order = Engine(None).controller(requests=1), []
    first_in, leave = threading.Event(), threading.Event()

    def first() -> None:
        with controller.admit(space(1), SilentHeartbeat()):
            first_in.set()
            leave.wait(30)
            order.append("first leaves")

    def second() -> None:
        with controller.admit(space(1), SilentHeartbeat()):
            order.append("second enters")

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(first)
        first_in.wait(30)
        waiting = pool.submit(second)
        leave.set()
        running.result(30)
        waiting.result(30)
    assert order == ["first leaves", "second enters"]


def test_what_is_in_flight_never_holds_more_blocks_than_the_kv_space_has(held: ExitStack) -> None:
    controller = Engine(EngineLoad(kv_blocks=10, block_tokens=16)).controller(requests=8)
    held.enter_context(controller.admit(space(16 * 6 - 1), SilentHeartbeat()))
    held.enter_context(controller.admit(space(16 * 4), SilentHeartbeat()))
    with pytest.raises(Cancelled), controller.admit(space(1), Impatient()):
        pytest.fail("an eleventh block was given away")


def test_a_prompt_that_several_requests_share_takes_its_blocks_once(held: ExitStack) -> None:
    load = EngineLoad(kv_blocks=10, block_tokens=16, prefix_cache=True)
    drafts = Engine(load).controller(requests=8)
    first = ExitStack()
    first.enter_context(
        drafts.admit(space(16, prompt=16 * 5 + 1), SilentHeartbeat())
    )  # five of the prompt, two of its own
    held.enter_context(drafts.admit(space(15, prompt=16 * 5 + 1), SilentHeartbeat()))  # one of its own
    held.enter_context(drafts.admit(space(16, prompt=16 * 5 + 1), SilentHeartbeat()))  # two of its own: all ten
    with pytest.raises(Cancelled), drafts.admit(space(1, prompt=16 * 5 + 1), Impatient()):
        pass
    first.close()
    held.enter_context(drafts.admit(space(1, prompt=16 * 5 + 1), SilentHeartbeat()))  # the others hold the prompt still
    with pytest.raises(Cancelled), drafts.admit(space(1, prompt=16, text="another problem"), Impatient()):
        pass


def test_an_engine_without_a_prefix_cache_holds_a_prompt_once_for_each_request(held: ExitStack) -> None:
    controller = Engine(EngineLoad(kv_blocks=10, block_tokens=16)).controller(requests=8)
    held.enter_context(controller.admit(space(16, prompt=16 * 4), SilentHeartbeat()))
    held.enter_context(controller.admit(space(16, prompt=16 * 4), SilentHeartbeat()))
    with pytest.raises(Cancelled), controller.admit(space(1, prompt=15), Impatient()):
        pass


def test_one_request_alone_always_runs(held: ExitStack) -> None:
    controller = Engine(EngineLoad(kv_blocks=10, block_tokens=16)).controller()
    held.enter_context(controller.admit(space(1000), Impatient()))
    with pytest.raises(Cancelled), controller.admit(space(1), Impatient()):
        pytest.fail("there was room beside what fills it")


def test_who_stops_waiting_leaves_the_queue(held: ExitStack) -> None:
    controller = Engine(None).controller(requests=1)
    with (
        controller.admit(space(1), SilentHeartbeat()),
        pytest.raises(Cancelled),
        controller.admit(space(1), Impatient()),
    ):
        pytest.fail("the only slot was given twice")
    held.enter_context(controller.admit(space(1), SilentHeartbeat()))


def test_a_fault_inside_gives_the_seat_back(held: ExitStack) -> None:
    controller = Engine(None).controller(requests=1)
    with pytest.raises(Cancelled), controller.admit(space(1), SilentHeartbeat()):
        raise Cancelled("enough")
    held.enter_context(controller.admit(space(1), SilentHeartbeat()))


def test_its_twin_admits_at_once(held: ExitStack) -> None:
    seated = [held.enter_context(NO_ADMISSION.admit(space(10**9), Impatient())) for _ in range(100)]
    assert len(seated) == 100


def test_who_waits_for_a_seat_stops_as_soon_as_the_worker_drains(held: ExitStack) -> None:
    controller = Engine(None).controller(requests=1)
    held.enter_context(controller.admit(space(1), SilentHeartbeat()))
    with pytest.raises(ShuttingDown), controller.admit(space(1), Draining(2)):
        pytest.fail("it was seated")


class Marking(SilentHeartbeat):
    """Says when it begins to wait."""

    def __init__(self) -> None:
        self.waits = threading.Event()

    def checkpoint(self) -> None:
        self.waits.set()


def test_who_came_first_is_admitted_first_though_a_later_request_would_fit() -> None:
    controller = Engine(EngineLoad(kv_blocks=10, block_tokens=16)).controller(requests=8)
    order: list[str] = []
    large, small = Marking(), Marking()

    def ask(name: str, size: RequestSize, heartbeat: Marking) -> None:
        with controller.admit(size, heartbeat):
            order.append(name)

    with ThreadPoolExecutor(2) as pool:
        with controller.admit(space(16 * 5), SilentHeartbeat()):
            first = pool.submit(ask, "large", space(16 * 6), large)
            assert large.waits.wait(30)
            second = pool.submit(ask, "small", space(16), small)
            assert small.waits.wait(30)
            assert order == []
        first.result(30)
        second.result(30)
    assert order == ["large", "small"]


@pytest.mark.parametrize(("prompt", "shared"), [(16 * 4, 3), (16 * 4 + 1, 4), (16 * 5, 4)])
def test_the_block_of_a_prompt_s_last_token_is_never_shared(held: ExitStack, prompt: int, shared: int) -> None:
    blocks = -(-(prompt + 16) // 16)
    load = EngineLoad(kv_blocks=2 * blocks - shared, block_tokens=16, prefix_cache=True)
    controller = Engine(load).controller(requests=8)
    held.enter_context(controller.admit(space(16, prompt=prompt), SilentHeartbeat()))
    held.enter_context(controller.admit(space(16, prompt=prompt), Impatient()))
    tight = Engine(EngineLoad(kv_blocks=2 * blocks - shared - 1, block_tokens=16, prefix_cache=True)).controller(
        requests=8
    )
    held.enter_context(tight.admit(space(16, prompt=prompt), SilentHeartbeat()))
    with pytest.raises(Cancelled), tight.admit(space(16, prompt=prompt), Impatient()):
        pytest.fail("a block was given to two")


def test_the_kv_space_of_a_server_that_counts_tokens_is_kept_while_it_is_too_busy_to_report(held: ExitStack) -> None:
    engine = Engine(EngineLoad(kv_blocks=1000, block_tokens=1))
    controller = engine.controller(requests=4)
    held.enter_context(controller.admit(space(300, prompt=300, text="one"), SilentHeartbeat()))
    engine.load, engine.now = None, engine.now + READ_EVERY_SECONDS
    with pytest.raises(Cancelled):
        held.enter_context(controller.admit(space(200, prompt=300, text="two"), Impatient()))
    held.enter_context(controller.admit(space(100, prompt=300, text="two"), SilentHeartbeat()))
    # Its slots share no prompt: the same one counts again.
    with pytest.raises(Cancelled):
        held.enter_context(controller.admit(space(100, prompt=300, text="two"), Impatient()))
