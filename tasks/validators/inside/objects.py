"""The objects of this process that the other one refers to by number, and the forms in which they are sent.

Must not know pipes, nor proxies.
"""

from __future__ import annotations

import inspect
import types
from typing import Any

from .descriptions import attributes_of, describe, location_of, own_bases, plain_base, scalar_base
from .forms import Encode, Form, Malformed
from .plainclasses import form_of_type


class Objects:
    """Keeps each object alive while the other side has a proxy of it. Lines of the source `file` are reported with
    exceptions."""

    def __init__(self, file: str = "") -> None:
        self._file = file
        self._entries: dict[int, list[Any]] = {}  # by number: the object, and how many times it was sent
        self._numbers: dict[int, int] = {}  # by id
        self._next = 1

    def of(self, number: int) -> Any:
        """The object with that number. Raises `Malformed` where there is none."""
        entry = self._entries.get(number)
        if entry is None:
            raise Malformed(f"no object {number!r}")
        return entry[0]

    def number(self, value: Any) -> int:
        """The number of an object, a new one where it has none yet; counts one more time that it is sent."""
        number = self._numbers.get(id(value))
        if number is None:
            number, self._next = self._next, self._next + 1
            self._numbers[id(value)] = number
            self._entries[number] = [value, 0]
        self._entries[number][1] += 1
        return number

    def release(self, number: int, count: int) -> None:
        """Drops an object when the other side's proxy, which was sent `count` times, has been deleted."""
        entry = self._entries.get(number)
        if entry is not None:
            entry[1] -= count
            if entry[1] <= 0:
                del self._entries[number]
                self._numbers.pop(id(entry[0]), None)

    def write(self, value: Any, encode: Encode, described_classes: set[int], classes: list[Any]) -> Form:
        """The form of an object that is no plain value. Appends to `classes` the descriptions that the other side
        lacks; `described_classes` are the numbers of those that it knows."""
        if isinstance(value, type):
            return form_of_type(value) or self._class(value, described_classes, classes)
        if isinstance(value, BaseException):
            return self._error(value, encode, described_classes, classes)
        kind = type(value)
        base_type = plain_base(kind)
        if base_type is not None:
            return encode(_as_plain(value, base_type))
        tag = _tag(value)
        if tag == "scalar":
            base = scalar_base(kind)
            assert base is not None
            form = encode(_as_plain(value, base))
            return [tag, self.number(value), self._class(kind, described_classes, classes)[1], form]
        return [tag, self.number(value), self._class(kind, described_classes, classes)[1]]

    def _class(self, kind: type, described_classes: set[int], classes: list[Any]) -> Form:
        number = self._numbers.get(id(kind)) or self.number(kind)  # a class is never released
        if number not in described_classes:
            bases = [form_of_type(base) or self._class(base, described_classes, classes) for base in own_bases(kind)]
            described_classes.add(number)
            classes.append([number, describe(kind, bases).form()])
        return ["class", number]

    def _error(self, error: BaseException, encode: Encode, described_classes: set[int], classes: list[Any]) -> Form:
        kind = form_of_type(type(error))
        is_own = kind is None
        return [
            "error",
            kind or self._class(type(error), described_classes, classes),
            self.number(error) if is_own else 0,
            encode(_arguments(error)),
            encode(attributes_of(error)),
            str(error),
            encode(error.__cause__),
            location_of(error, self._file),
        ]


def _arguments(error: BaseException) -> tuple[Any, ...]:
    if isinstance(error, OSError) and error.filename is not None:
        return (error.errno, error.strerror, error.filename)
    return tuple(error.args)


def _tag(value: Any) -> str:
    if isinstance(value, types.GeneratorType):
        return "generator"
    if inspect.iscoroutine(value):
        return "awaitable"
    return "mine" if scalar_base(type(value)) is None else "scalar"


def _as_plain(value: Any, base: type) -> Any:
    """The value as an object of `base`, without what its subclass adds."""
    if base is str:
        return "".join(str.__iter__(value))
    if base is bytes:
        return bytes.__getitem__(value, slice(None))
    if base in (int, float):
        return base.__mul__(value, 1)
    if base is complex:
        return complex(complex.__add__(value, 0))
    if base is dict:
        return dict(dict.items(value))
    constructor: Any = base
    return constructor(constructor.__iter__(value))
