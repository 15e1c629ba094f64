"""Two sides of one conversation, in two threads: what each may do to the other's objects."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading

import pytest

from tasks.validators.inside.channels import Channel, Channels, ConnectionLost
from tasks.validators.inside.forms import Malformed
from tasks.validators.inside.peer import Peer
from tasks.validators.inside.plainclasses import form_of_type, type_of_form
from tasks.validators.inside.remote import Remote
from tasks.validators.inside.standin import Forbidden, permit


class Lie:
    """Says yes to everything."""

    def __eq__(self, other):
        return True

    __hash__ = None

    def __lt__(self, other):
        return True

    def __sub__(self, other):
        return 0

    def __abs__(self):
        return 0

    def __contains__(self, item):
        return True

    def __iter__(self):
        return iter([1, 2])


@dataclasses.dataclass
class Pair:
    """Compared by its fields."""

    left: int
    right: int = 0


class Money:
    """Has arithmetic."""

    def __init__(self, cents):
        self.cents = cents

    def __mul__(self, times):
        return Money(self.cents * times)

    def __sub__(self, other):
        return self.cents - getattr(other, "cents", other)

    def __eq__(self, other):
        return self.cents == other.cents

    __hash__ = None


CANDIDATES = {
    "lie": Lie,
    "pair": Pair,
    "money": Money,
    "twice": lambda: [1],
    "call": lambda f, *a: f(*a),
    "value": lambda one: one.value,
}


@pytest.fixture
def tests_side():
    """The strict side, whose other side serves `CANDIDATES` as attributes of an object."""
    down, up = os.pipe(), os.pipe()
    theirs = Channel(down[0], up[1])
    channels = Channels([theirs], share_serving=True)
    candidate = Peer(channels, strict=False, permit=lambda *_: None)
    root = type("Root", (), {})()
    vars(root).update(CANDIDATES)

    def serve():
        channels.bind(theirs)
        try:
            while True:
                frame = theirs.receive()
                if frame[1] is None:
                    frame[1] = ["yours", candidate.objects.number(root)]
                candidate.answer(theirs, frame)
        except ConnectionLost:
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    peer = Peer(Channels([Channel(up[0], down[1])], share_serving=False), strict=True, permit=permit)
    yield peer
    os.close(down[1])
    thread.join(10)
    for handle in (down[0], *up):
        os.close(handle)


@pytest.fixture
def get(tests_side):
    return lambda name: tests_side.request("get", None, name)


def test_a_proxy_is_equal_to_no_plain_value_and_ordered_against_none(get):
    lie = get("lie")()
    assert isinstance(lie, Remote)
    for plain in (0, 1.5, "x", None, [1, 2], (1, 2), {}, set(), b"", True):
        assert (lie == plain) is (plain == lie) is False
        assert lie != plain
    with pytest.raises(TypeError):
        lie < 5  # noqa: B015
    with pytest.raises(TypeError):
        lie <= 5  # noqa: B015
    assert not isinstance(lie, int | float | str | list)


def test_arithmetic_with_plain_values_is_for_classes_that_the_tests_name(get, tests_side):
    lie = get("lie")()
    with pytest.raises(TypeError):
        lie - 3
    tests_side.proxies.named.add(type(lie))
    with pytest.raises(TypeError, match="isolation: shared"):
        lie - 3
    money = get("money")
    tests_side.proxies.named.add(money)
    assert money(5) * 2 == money(10)
    assert money(7) - money(5) == 2


def test_what_came_of_arithmetic_with_plain_values_is_not_read_as_a_number(get, tests_side):
    kind = type(get("lie")())
    tests_side.proxies.named.add(kind)
    lie = get("lie")()
    lie._redraft_tainted = True
    with pytest.raises(TypeError, match="isolation: shared"):
        abs(lie)


def test_membership_is_looked_through_where_the_tests_do_not_name_the_class(get):
    lie = get("lie")()
    assert 1 in lie
    assert 7 not in lie


def test_dataclasses_are_compared_by_their_fields_here(get):
    pair = get("pair")
    assert pair(1) == pair(1, 0)
    assert pair(1) != pair(2)
    assert (pair(1) == (1, 0)) is False
    assert dataclasses.asdict(pair(1)) == {"left": 1, "right": 0}


def test_an_object_of_the_tests_comes_back_itself(get):
    class Mine:
        value = 3

    mine = Mine()
    assert get("call")(lambda one: one, mine) is mine
    assert get("value")(mine) == 3


@pytest.mark.parametrize(
    ("operation", "target", "name"),
    [
        ("get", lambda: None, "__globals__"),
        ("get", lambda: None, "__code__"),
        ("get", (x for x in ()), "gi_frame"),
        ("get", object(), "_private"),
        ("get", object(), "__class__"),
        ("set", lambda: None, "anything"),
        ("set", int, "real"),
        ("set", ValueError(), "args"),
        ("delete", threading.Event(), "wait"),
        ("get", os, "system"),
        ("call", getattr, ""),
        ("call", eval, ""),
        ("special", open, "__call__"),
        ("call", pytest.mark.parametrize, ""),
        ("special", object(), "__reduce__"),
        ("special", object(), "__getattribute__"),
        ("special", object(), "__class__"),
        ("nonsense", object(), ""),
        ("method", object(), "__init__"),
    ],
)
def test_the_candidate_may_use_objects_of_the_tests_and_not_look_into_them(operation, target, name):
    with pytest.raises(Forbidden):
        permit(operation, target, name)


def test_ordinary_use_of_an_object_of_the_tests_is_permitted():
    class Mine:
        value = 1

    for operation, name in [
        ("get", "value"),
        ("set", "value"),
        ("method", "run"),
        ("special", "__len__"),
        ("call", ""),
    ]:
        assert permit(operation, Mine(), name) is None
    assert permit("get", test_ordinary_use_of_an_object_of_the_tests_is_permitted, "__name__") is None


@pytest.mark.parametrize(
    "target", [["type", "subprocess", "Popen"], ["type", "builtins", "list"], "{0.__globals__}", ["list"], None, 5]
)
def test_the_candidate_may_ask_for_what_is_done_to_an_object_that_it_was_given_alone(target):
    down, up = os.pipe(), os.pipe()
    theirs = Channel(down[0], up[1])
    peer = Peer(Channels([Channel(up[0], down[1])], share_serving=False), strict=True, permit=permit)
    theirs.send(["call", target, "", [], [], [], [], []])
    with pytest.raises(ConnectionLost, match="no object of this side"):
        peer.request("get", None, "x")
    for handle in (*down, *up):
        os.close(handle)


@pytest.mark.parametrize("kind", [subprocess.Popen, threading.Thread, property, map])
def test_no_class_that_does_something_goes_by_its_name(kind):
    assert form_of_type(kind) is None
    with pytest.raises(Malformed):
        type_of_form(["type", kind.__module__, kind.__qualname__])


def test_the_end_of_the_other_side_is_no_exception_that_a_test_could_expect():
    assert not issubclass(ConnectionLost, Exception)


@pytest.mark.parametrize(
    "reply",
    [
        b"x",
        b"[]",
        b"{}",
        b'["ok"]',
        b'["ok",["mine",1,99],[],[],[],[]]',
        b'["no",5,[],[],[],[]]',
        b'["ok",1,[[0,1]],[],[],[]]',
    ],
)
def test_what_is_no_reply_ends_the_conversation(reply):
    down, up = os.pipe(), os.pipe()
    os.write(up[1], len(reply).to_bytes(4, "big") + reply)
    peer = Peer(Channels([Channel(up[0], down[1])], share_serving=False), strict=True, permit=permit)
    os.close(up[1])
    with pytest.raises(ConnectionLost):
        peer.request("get", None, "x")
    for handle in (*down, up[0]):
        os.close(handle)
