"""How each kind of plain value is encoded as a form. Must not know how it is decoded."""

from __future__ import annotations

import binascii
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from .forms import Encode, Form

ATOMS = frozenset({str, float, bool, type(None)})
LARGE = 2**63  # larger integers are written in hexadecimal: decimal takes quadratic time, and has a limit of digits


def _items(values: Iterable[Any], encode: Encode) -> list[Form]:
    return [
        value if (kind := type(value)) in ATOMS or (kind is int and -LARGE < value < LARGE) else encode(value)
        for value in values
    ]


def _pairs(mapping: Any, encode: Encode) -> list[Form]:
    return _items((one for pair in dict.items(mapping) for one in pair), encode)


def _base64(data: Any) -> str:
    return binascii.b2a_base64(bytes(data), newline=False).decode()


def write_array(array: Any, _: Encode) -> Form:
    """The form of a NumPy array. An array of objects is refused, since nested lists would lose its type."""
    if array.dtype.kind not in "biufcUSMm":
        raise TypeError(f"an array of {array.dtype} can't cross between the tests and the solution")
    return ["array", array.dtype.str, list(array.shape), _base64(array.tobytes())]


# Containers that can be changed: how each is written, and how an empty one is made and filled.
CONTAINERS: dict[type, Callable[[Any, Encode], Form]] = {
    list: lambda value, encode: ["list", *_items(value, encode)],
    dict: lambda value, encode: ["dict", *_pairs(value, encode)],
    set: lambda value, encode: ["set", *_items(value, encode)],
    bytearray: lambda value, _: ["bytearray", _base64(value)],
    deque: lambda value, encode: ["deque", value.maxlen, *_items(value, encode)],
    OrderedDict: lambda value, encode: ["ordered", *_pairs(value, encode)],
    Counter: lambda value, encode: ["counter", *_pairs(value, encode)],
    defaultdict: lambda value, encode: ["defaultdict", encode(value.default_factory), *_pairs(value, encode)],
}


def _write_datetime(value: Any, encode: Encode) -> Form:
    parts = [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
    return ["datetime", *parts, value.fold, encode(value.tzinfo)]


def _write_time(value: Any, encode: Encode) -> Form:
    return ["time", value.hour, value.minute, value.second, value.microsecond, value.fold, encode(value.tzinfo)]


def _write_timezone(value: Any, encode: Encode) -> Form:
    return ["timezone", encode(value.utcoffset(None)), value.tzname(None)]


WRITERS: dict[type, Callable[[Any, Encode], Form]] = {
    **CONTAINERS,
    tuple: lambda value, encode: ["tuple", *_items(value, encode)],
    frozenset: lambda value, encode: ["frozenset", *_items(value, encode)],
    bytes: lambda value, _: ["bytes", _base64(value)],
    memoryview: lambda value, _: ["bytes", _base64(value)],
    complex: lambda value, _: ["complex", value.real, value.imag],
    range: lambda value, encode: ["range", encode(value.start), encode(value.stop), encode(value.step)],
    slice: lambda value, encode: ["slice", encode(value.start), encode(value.stop), encode(value.step)],
    type({}.keys()): lambda value, encode: ["keys", *_items(value, encode)],
    type({}.values()): lambda value, encode: ["values", *_items(value, encode)],
    type({}.items()): lambda value, encode: ["pairs", *_items(value, encode)],
    type(...): lambda value, _: ["ellipsis"],
    type(NotImplemented): lambda value, _: ["notimplemented"],
}
_NUMBERS: tuple[str, ...] = (
    "bool",
    "bool_",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
)
_NUMBERS += ("float32", "float64", "complex64", "complex128")
# Types of modules that are slow to import are listed by name: a process that has such a value has imported them.
NAMED_WRITERS: dict[tuple[str, str], Callable[[Any, Encode], Form]] = {
    ("decimal", "Decimal"): lambda value, _: ["decimal", str(value)],
    ("fractions", "Fraction"): lambda value, encode: [
        "fraction",
        encode(value.numerator),
        encode(value.denominator),
    ],
    ("datetime", "datetime"): _write_datetime,
    ("datetime", "date"): lambda value, _: ["date", value.year, value.month, value.day],
    ("datetime", "time"): _write_time,
    ("datetime", "timedelta"): lambda value, _: ["timedelta", value.days, value.seconds, value.microseconds],
    ("datetime", "timezone"): _write_timezone,
    ("zoneinfo", "ZoneInfo"): lambda value, _: ["zone", value.key],
    ("uuid", "UUID"): lambda value, _: ["uuid", value.hex],
    ("re", "Pattern"): lambda value, encode: ["pattern", encode(value.pattern), value.flags],
    ("array", "array"): lambda value, _: ["typed", value.typecode, _base64(value.tobytes())],
    ("numpy", "ndarray"): write_array,
    **{("numpy", name): lambda value, _: ["number", value.dtype.str, _base64(value.tobytes())] for name in _NUMBERS},
    **{
        ("pathlib", name): lambda value, _: ["path", type(value).__name__, str(value)]
        for name in ("PosixPath", "PurePosixPath", "PureWindowsPath")
    },
}
