"""Who may use the engine now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tasks.errors import Cancelled, ShuttingDown
from tasks.journal import NO_ADMISSION
from tasks.ports import Space
from tasks.pulse import Silent
from tasks.types import Message
from tests.doubles import Draining
from workers.engine.admission import READ_EVERY_SECONDS, SETTLE_SECONDS, Seats
from workers.engine.load import EngineLoad

TURNS = "abcdefgh"
IDLE = EngineLoad(kv_blocks=100, block_tokens=16)


def space(made: int, prompt: int = 0, text: str = "a problem") -> Space:
    """What a request takes that may write `made` tokens after `prompt` tokens."""
    messages = (Message(role="user", content=text),)
    return Space(messages=messages, prompt_tokens=prompt, made_tokens=made)


class Engine:
    """Says its load; its clock stands still until it is moved."""

    def __init__(self, load: EngineLoad | None = IDLE) -> None:
        self.load, self.now, self.readings = load, 100.0, 0

    def read(self) -> EngineLoad | None:
        self.readings += 1
        return self.load

    def clock(self) -> float:
        return self.now

    def seats(self, seats: int = 4, width: int = 2) -> Seats:
        return Seats(seats=seats, width=width, read=self.read, clock=self.clock)


class Impatient(Silent):
    """Stops what waits."""

    def check(self) -> None:
        raise Cancelled("enough")


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_turns_are_taken_until_the_seats_are_full_and_half_as_many_requests_wait() -> None:
    seats = Engine().seats(seats=4, width=2)
    assert [seats.take_turn(turn, 0) for turn in TURNS[:4]] == [True, True, True, False]


def test_a_turn_that_has_settled_counts_with_the_requests_it_has(held: ExitStack) -> None:
    engine = Engine()
    seats = engine.seats(seats=4, width=2)
    for turn in TURNS[:3]:
        assert seats.take_turn(turn, 0)
    for _ in range(4):
        held.enter_context(seats.seat(space(16), Silent()))
    engine.now += SETTLE_SECONDS
    assert seats.take_turn("d", 0), "two of the six requests have ended, and a turn asks two"
    assert not seats.take_turn("e", 0)


def test_a_turn_that_has_left_makes_room_at_once() -> None:
    seats = Engine().seats(seats=4, width=2)
    for turn in TURNS:
        assert seats.take_turn(turn, 0)
        seats.leave(turn)


@pytest.mark.parametrize("load", [EngineLoad(waiting=1), EngineLoad(kv_usage=0.95)])
def test_no_turn_is_taken_while_others_wait_or_fill_the_kv_space(load: EngineLoad) -> None:
    assert not Engine(load).seats().take_turn("a", 0)


def test_an_engine_without_metrics_gets_a_fixed_number() -> None:
    seats = Engine(None).seats(seats=4, width=1)
    assert [seats.take_turn(turn, 0) for turn in TURNS[:7]] == [True] * 6 + [False]


def test_the_load_is_read_again_only_after_a_while() -> None:
    engine = Engine()
    seats = engine.seats()
    seats.take_turn("a", 0)
    seats.take_turn("a", 0)
    assert engine.readings == 1
    engine.now += READ_EVERY_SECONDS
    seats.take_turn("a", 0)
    assert engine.readings == 2


def test_a_request_waits_for_a_seat_and_gets_it_when_one_leaves() -> None:
    seats, order = Engine(None).seats(seats=1), []
    first_in, leave = threading.Event(), threading.Event()

    def first() -> None:
        with seats.seat(space(1), Silent()):
            first_in.set()
            leave.wait(30)
            order.append("first leaves")

    def second() -> None:
        with seats.seat(space(1), Silent()):
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
    seats = Engine(EngineLoad(kv_blocks=10, block_tokens=16)).seats(seats=8)
    held.enter_context(seats.seat(space(16 * 6 - 1), Silent()))
    held.enter_context(seats.seat(space(16 * 4), Silent()))
    with pytest.raises(Cancelled), seats.seat(space(1), Impatient()):
        pytest.fail("an eleventh block was given away")


def test_a_prompt_that_several_requests_share_takes_its_blocks_once(held: ExitStack) -> None:
    load = EngineLoad(kv_blocks=10, block_tokens=16, prefix_cache=True)
    drafts = Engine(load).seats(seats=8)
    first = ExitStack()
    first.enter_context(drafts.seat(space(16, prompt=16 * 5 + 1), Silent()))  # five of the prompt, two of its own
    held.enter_context(drafts.seat(space(15, prompt=16 * 5 + 1), Silent()))  # one of its own
    held.enter_context(drafts.seat(space(16, prompt=16 * 5 + 1), Silent()))  # two of its own: all ten
    with pytest.raises(Cancelled), drafts.seat(space(1, prompt=16 * 5 + 1), Impatient()):
        pass
    first.close()
    held.enter_context(drafts.seat(space(1, prompt=16 * 5 + 1), Silent()))  # the others hold the prompt still
    with pytest.raises(Cancelled), drafts.seat(space(1, prompt=16, text="another problem"), Impatient()):
        pass


def test_an_engine_without_a_prefix_cache_holds_a_prompt_once_for_each_request(held: ExitStack) -> None:
    seats = Engine(EngineLoad(kv_blocks=10, block_tokens=16)).seats(seats=8)
    held.enter_context(seats.seat(space(16, prompt=16 * 4), Silent()))
    held.enter_context(seats.seat(space(16, prompt=16 * 4), Silent()))
    with pytest.raises(Cancelled), seats.seat(space(1, prompt=15), Impatient()):
        pass


def test_one_request_alone_always_runs(held: ExitStack) -> None:
    seats = Engine(EngineLoad(kv_blocks=10, block_tokens=16)).seats()
    held.enter_context(seats.seat(space(1000), Impatient()))
    with pytest.raises(Cancelled), seats.seat(space(1), Impatient()):
        pytest.fail("there was room beside what fills it")


def test_who_stops_waiting_leaves_the_queue(held: ExitStack) -> None:
    seats = Engine(None).seats(seats=1)
    with seats.seat(space(1), Silent()), pytest.raises(Cancelled), seats.seat(space(1), Impatient()):
        pytest.fail("the only seat was given twice")
    held.enter_context(seats.seat(space(1), Silent()))


def test_a_fault_inside_gives_the_seat_back(held: ExitStack) -> None:
    seats = Engine(None).seats(seats=1)
    with pytest.raises(Cancelled), seats.seat(space(1), Silent()):
        raise Cancelled("enough")
    held.enter_context(seats.seat(space(1), Silent()))


def test_its_twin_admits_at_once(held: ExitStack) -> None:
    seated = [held.enter_context(NO_ADMISSION.seat(space(10**9), Impatient())) for _ in range(100)]
    assert len(seated) == 100


def test_who_waits_for_a_seat_stops_as_soon_as_the_worker_drains(held: ExitStack) -> None:
    seats = Engine(None).seats(seats=1)
    held.enter_context(seats.seat(space(1), Silent()))
    with pytest.raises(ShuttingDown), seats.seat(space(1), Draining(2)):
        pytest.fail("it was seated")
