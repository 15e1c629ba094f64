"""How each kind of plain value is decoded from its form. Must not know how it was encoded."""

from __future__ import annotations

import binascii
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

from .forms import Decode, Form, Malformed
from .plainclasses import type_of_form


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def array_of(form: list[Form]) -> Any:
    import numpy  # type: ignore[import-not-found, unused-ignore]

    dtype = numpy.dtype(form[1])
    if dtype.kind not in "biufcUSMm":
        raise Malformed("an array of objects")
    return numpy.frombuffer(_bytes(form[3]), dtype).reshape(form[2]).copy()


def _fill_pairs(mapping: Any, forms: list[Form], decode: Decode) -> None:
    values = [decode(form) for form in forms]
    for key, value in zip(values[::2], values[1::2], strict=True):
        dict.__setitem__(mapping, key, value)


def _factory(form: Form, decode: Decode) -> Any:
    factory = decode(form)
    if factory is not None and not callable(factory):
        raise Malformed("a default factory that can't be called")
    return factory


def _fill_ordered(value: OrderedDict[Any, Any], forms: list[Form], decode: Decode) -> None:
    values = [decode(form) for form in forms]
    value.update(zip(values[::2], values[1::2], strict=True))


def _fill_default(value: defaultdict[Any, Any], form: list[Form], decode: Decode) -> None:
    value.default_factory = _factory(form[1], decode)
    _fill_pairs(value, form[2:], decode)


_Fill = tuple[Callable[[list[Form]], Any], Callable[[Any, list[Form], Decode], Any]]
CONTAINERS_BY_TAG: dict[str, _Fill] = {
    "list": (lambda _: [], lambda value, form, decode: value.extend([decode(one) for one in form[1:]])),
    "dict": (lambda _: {}, lambda value, form, decode: _fill_pairs(value, form[1:], decode)),
    "set": (lambda _: set(), lambda value, form, decode: value.update([decode(one) for one in form[1:]])),
    "bytearray": (lambda form: bytearray(_bytes(form[1])), lambda value, form, decode: None),
    "deque": (
        lambda form: deque(maxlen=form[1]),
        lambda value, form, decode: value.extend([decode(one) for one in form[2:]]),
    ),
    "ordered": (lambda _: OrderedDict(), lambda value, form, decode: _fill_ordered(value, form[1:], decode)),
    "counter": (lambda _: Counter(), lambda value, form, decode: _fill_pairs(value, form[1:], decode)),
    "defaultdict": (lambda _: defaultdict(), _fill_default),
    "array": (array_of, lambda value, form, decode: None),
}


def _read_datetime(form: list[Form], decode: Decode) -> Any:
    import datetime

    return datetime.datetime(*form[1:8]).replace(fold=form[8], tzinfo=decode(form[9]))


def _read_time(form: list[Form], decode: Decode) -> Any:
    import datetime

    return datetime.time(*form[1:5]).replace(fold=form[5], tzinfo=decode(form[6]))


def _read_of(module: str, name: str) -> Callable[[list[Form], Decode], Any]:
    """A reader that calls a class with the decoded items of the form; its module is imported at the first value."""

    def read(form: list[Form], decode: Decode) -> Any:
        import importlib

        return getattr(importlib.import_module(module), name)(*map(decode, form[1:]))

    return read


def _read_path(form: list[Form], _: Decode) -> Any:
    import pathlib

    if form[1] not in ("PosixPath", "PurePosixPath", "PureWindowsPath"):
        raise Malformed("no path")
    return getattr(pathlib, form[1])(form[2])


def _read_typed(form: list[Form], _: Decode) -> Any:
    import array

    return array.array(form[1], _bytes(form[2]))


def _read_number(form: list[Form], _: Decode) -> Any:
    return array_of(["array", form[1], [], form[2]])[()]


def _values_of(forms: list[Form], decode: Decode) -> list[Any]:
    return [decode(form) for form in forms]


READERS: dict[str, Callable[[list[Form], Decode], Any]] = {
    "int": lambda form, _: int(form[1], 16),
    "tuple": lambda form, decode: tuple(_values_of(form[1:], decode)),
    "frozenset": lambda form, decode: frozenset(_values_of(form[1:], decode)),
    "bytes": lambda form, _: _bytes(form[1]),
    "complex": lambda form, _: complex(form[1], form[2]),
    "range": lambda form, decode: range(*_values_of(form[1:], decode)),
    "slice": lambda form, decode: slice(*_values_of(form[1:], decode)),
    "keys": lambda form, decode: dict.fromkeys(_values_of(form[1:], decode)).keys(),
    "values": lambda form, decode: dict(enumerate(_values_of(form[1:], decode))).values(),
    "pairs": lambda form, decode: dict(_values_of(form[1:], decode)).items(),
    "ellipsis": lambda form, _: ...,
    "notimplemented": lambda form, _: NotImplemented,
    "type": lambda form, _: type_of_form(form),
    "datetime": _read_datetime,
    "time": _read_time,
    "path": _read_path,
    "typed": _read_typed,
    "number": _read_number,
    "decimal": _read_of("decimal", "Decimal"),
    "fraction": _read_of("fractions", "Fraction"),
    "date": _read_of("datetime", "date"),
    "timedelta": _read_of("datetime", "timedelta"),
    "timezone": _read_of("datetime", "timezone"),
    "zone": _read_of("zoneinfo", "ZoneInfo"),
    "uuid": _read_of("uuid", "UUID"),
    "pattern": _read_of("re", "compile"),
}
