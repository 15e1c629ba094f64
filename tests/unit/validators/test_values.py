"""Plain values go to the other process and back as they are, whatever they hold."""

from __future__ import annotations

import datetime
import json
import math
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.validators.inside.forms import Malformed
from tasks.validators.inside.plainclasses import form_of_type
from tasks.validators.inside.values import Decoder, Encoder


def no_other(value, _):
    raise AssertionError(f"{value!r} is plain")


def through(value):
    """The value after a way through JSON."""
    form = json.loads(json.dumps(Encoder(no_other).encode(value)))
    return Decoder(no_other).decode(form)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**4000), max_value=2**4000),
    st.floats(),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(codec=None)),
    st.binary(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)
hashable = st.recursive(
    scalars.filter(lambda value: value == value),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
        | st.tuples(inner, inner)
        | st.lists(inner, max_size=3).map(deque)
        | st.binary(max_size=5).map(bytearray)
    ),
    max_leaves=12,
)


def same(left, right):
    """Equal in value and in each type, with NaN equal to itself and the sign of zero kept."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, list | tuple | deque):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(a, b) and same(left[a], right[b]) for a, b in zip(left, right, strict=True)
        )
    return left == right


@given(values)
def test_a_plain_value_arrives_as_it_was(value):
    assert same(through(value), value)


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(b=1, a=2),
        Counter("abca"),
        deque([1, 2], maxlen=3),
        range(3, 9, 2),
        slice(1, None, 2),
        ...,
        PurePosixPath("a/b"),
        uuid.UUID(int=7),
        Decimal("1.10"),
        Fraction(1, 3),
        -(2**63),
        2**63,
        {"a": 1}.keys(),
        {"a": 1}.items(),
        datetime.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "X")),
    ],
)
def test_kinds_that_few_use_arrive_too(value):
    arrived = through(value)
    assert arrived == value
    assert type(arrived) is type(value)


def test_a_number_of_many_digits_arrives():
    assert through(10**5000) == 10**5000


def test_a_default_dictionary_keeps_its_factory():
    form = Encoder(lambda value, _: form_of_type(value)).encode(defaultdict(list, {"a": [1]}))
    arrived = Decoder(no_other).decode(form)
    assert arrived["b"] == []
    assert arrived == {"a": [1], "b": []}


def test_a_container_that_stands_twice_or_in_itself_does_so_there():
    inner = [1]
    loop = [inner, inner]
    loop.append(loop)
    arrived = through(loop)
    assert arrived[0] is arrived[1]
    assert arrived[2] is arrived


def test_a_change_is_made_to_the_very_container():
    mine = [[1], {"a": 1}, {1}, bytearray(b"a")]
    encoder = Encoder(no_other)
    theirs = Decoder(no_other)
    theirs_list = theirs.decode(json.loads(json.dumps(encoder.encode(mine))))
    theirs_list[0].append(2)
    theirs_list.pop()
    back = Encoder(no_other, theirs.containers)
    forms = [(number, back.content(one)) for number, one in enumerate(theirs.containers)]
    first = mine[0]
    reader = Decoder(no_other, encoder.containers)
    for number, form in json.loads(json.dumps(forms)):
        reader.update(encoder.containers[number], form)
    assert mine == [[1, 2], {"a": 1}, {1}]
    assert mine[0] is first


@pytest.mark.parametrize(
    "form",
    [
        {"a": 1},
        [],
        ["ref", 0],
        ["arg", 0],
        ["int", "x"],
        ["dict", 1],
        ["dict", ["list"], 1],
        ["set", ["list"]],
        ["bytes", "%"],
        ["decimal", "x"],
        ["timedelta", 10**12, 0, 0],
        ["type", "os", "system"],
        ["type", "unittest.case", "SkipTest"],
        ["type", "_pytest.outcomes", "Skipped"],
        ["type", "builtins", "nothing"],
        ["path", "Path", "x"],
        ["defaultdict", 5],
        [["list"], 1],
        [None],
    ],
)
def test_what_is_no_form_is_refused(form):
    def other(_form, _decode):
        raise Malformed("not plain")

    with pytest.raises(Malformed):
        Decoder(other).decode(form)


def test_a_class_goes_by_its_name_only_if_it_is_pythons():
    class Mine:
        pass

    class Decoy:
        pass

    Decoy.__module__, Decoy.__qualname__ = "builtins", "int"
    assert form_of_type(int) == ["type", "builtins", "int"]
    assert form_of_type(Mine) is None
    assert form_of_type(Decoy) is None
