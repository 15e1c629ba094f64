"""Plain values as JSON forms: what crosses between the tests' process and the candidate's.

A scalar stands for itself, anything else is a list that begins with a tag. Whoever reads builds each value from its own
types, so that nothing of the other process (its `__eq__`, its `__hash__`) comes along. Containers that can be changed
are numbered in the order in which they are met: they may stand in a value twice, or within themselves, and the other
side can say what became of each. Must not know pipes, proxies, nor which side it runs on.
"""

from __future__ import annotations

import binascii
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

Form = Any  # what `json` can write: a scalar, or a list that begins with a tag
Encode = Callable[[Any], Form]
Decode = Callable[[Form], Any]

_ATOMS = frozenset({str, float, bool, type(None)})
_LARGE = 2**63  # larger integers are written in hexadecimal: decimal takes quadratic time, and has a limit of digits


class Malformed(Exception):
    """The other side sent what is no value. Whoever speaks with it ends the conversation."""


class Encoder:
    """Writes values. `other` writes what is not plain. `arguments` are containers that the other side knows by number:
    the value may hold them."""

    def __init__(self, other: Callable[[Any, Encode], Form], arguments: list[Any] | None = None) -> None:
        self._other = other
        self.containers: list[Any] = []
        self._numbers: dict[int, Form] = {id(one): ["arg", number] for number, one in enumerate(arguments or ())}

    def encode(self, value: Any) -> Form:
        """The form of one value."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        if kind is int:
            return value if -_LARGE < value < _LARGE else ["int", hex(value)]
        write = _WRITERS.get(kind)
        if write is None:
            write = _NAMED_WRITERS.get((kind.__module__, kind.__qualname__))
        if write is None:
            return self._other(value, self.encode)
        if kind not in _CONTAINERS and write is not _write_array:
            return write(value, self.encode)
        number = self._numbers.get(id(value))
        if number is None:
            self._numbers[id(value)] = ["ref", len(self.containers)]
            self.containers.append(value)  # kept alive, so that no other object gets its id
            return write(value, self.encode)
        return number

    def content(self, container: Any) -> Form:
        """The form of a container that is itself an argument: what it holds now."""
        return _WRITERS.get(type(container), _write_array)(container, self.encode)


class Decoder:
    """Reads values. `other` reads the tags that are not of plain values. `arguments` as the `Encoder`'s."""

    def __init__(self, other: Callable[[list[Form], Decode], Any], arguments: list[Any] | None = None) -> None:
        self._other, self._arguments = other, arguments or []
        self.containers: list[Any] = []

    def decode(self, form: Form) -> Any:
        """The value of a form. Raises `Malformed`."""
        if type(form) is not list:
            if type(form) is dict:
                raise Malformed("an object is no form")
            return form
        try:
            tag = form[0]
            if tag == "ref":
                return self.containers[form[1]]
            if tag == "arg":
                return self._arguments[form[1]]
            fill = _CONTAINERS_BY_TAG.get(tag)
            if fill is not None:
                empty, add = fill
                container = empty(form)
                self.containers.append(container)
                add(container, form, self.decode)
                return container
            read = _READERS.get(tag)
            return self._other(form, self.decode) if read is None else read(form, self.decode)
        except Malformed:
            raise
        except Exception as error:  # noqa: BLE001 - constructors raise what they like
            raise Malformed(f"{type(error).__name__}: {error}") from None

    def update(self, container: Any, form: list[Form]) -> None:
        """Makes `container` hold what `form` says. Raises `Malformed`."""
        try:
            empty, add = _CONTAINERS_BY_TAG[form[0]]
            if type(empty(form)) is not type(container):
                raise Malformed("a container became another kind")
            if form[0] == "array":
                container[...] = _array(form)
                return
            content = empty(form)
            add(content, form, self.decode)
            container.clear()
            (container.update if hasattr(container, "update") else container.extend)(content)
        except Malformed:
            raise
        except Exception as error:  # noqa: BLE001 - constructors raise what they like
            raise Malformed(f"{type(error).__name__}: {error}") from None


def _items(values: Iterable[Any], encode: Encode) -> list[Form]:
    return [
        value if (kind := type(value)) in _ATOMS or (kind is int and -_LARGE < value < _LARGE) else encode(value)
        for value in values
    ]


def _pairs(mapping: Any, encode: Encode) -> list[Form]:
    return _items((one for pair in dict.items(mapping) for one in pair), encode)


def _fill_pairs(mapping: Any, forms: list[Form], decode: Decode) -> None:
    values = [decode(form) for form in forms]
    for key, value in zip(values[::2], values[1::2], strict=True):
        dict.__setitem__(mapping, key, value)


def _base64(data: Any) -> str:
    return binascii.b2a_base64(bytes(data), newline=False).decode()


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _write_array(array: Any, _: Encode) -> Form:
    """A NumPy array; one of objects is written as nested lists would be lossy, so it is refused."""
    if array.dtype.kind not in "biufcUSMm":
        raise TypeError(f"an array of {array.dtype} can't cross between the tests and the solution")
    return ["array", array.dtype.str, list(array.shape), _base64(array.tobytes())]


def _array(form: list[Form]) -> Any:
    import numpy  # type: ignore[import-not-found, unused-ignore]

    dtype = numpy.dtype(form[1])
    if dtype.kind not in "biufcUSMm":
        raise Malformed("an array of objects")
    return numpy.frombuffer(_bytes(form[3]), dtype).reshape(form[2]).copy()


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


# Containers that can be changed: how each is written, and how an empty one is made and filled.
_CONTAINERS: dict[type, Callable[[Any, Encode], Form]] = {
    list: lambda value, encode: ["list", *_items(value, encode)],
    dict: lambda value, encode: ["dict", *_pairs(value, encode)],
    set: lambda value, encode: ["set", *_items(value, encode)],
    bytearray: lambda value, _: ["bytearray", _base64(value)],
    deque: lambda value, encode: ["deque", value.maxlen, *_items(value, encode)],
    OrderedDict: lambda value, encode: ["ordered", *_pairs(value, encode)],
    Counter: lambda value, encode: ["counter", *_pairs(value, encode)],
    defaultdict: lambda value, encode: ["defaultdict", encode(value.default_factory), *_pairs(value, encode)],
}
_Fill = tuple[Callable[[list[Form]], Any], Callable[[Any, list[Form], Decode], Any]]
_CONTAINERS_BY_TAG: dict[str, _Fill] = {
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
    "array": (_array, lambda value, form, decode: None),
}


# Classes that go over by their names, beside exceptions: a class is a callable, and whoever is handed one may call it.
_PLAIN = frozenset(
    {("builtins", name) for name in ("object", "int", "float", "complex", "bool", "str", "bytes", "bytearray", "list")}
    | {("builtins", name) for name in ("tuple", "dict", "set", "frozenset", "range", "slice", "type", "NoneType")}
    | {("collections", name) for name in ("deque", "Counter", "OrderedDict", "defaultdict")}
    | {("datetime", name) for name in ("date", "time", "datetime", "timedelta", "timezone")}
    | {("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID")}
)
_ABSTRACT = frozenset({"collections.abc", "numbers"})
_CLOSED = frozenset({"unittest", "doctest", "bdb", "pdb"})  # of the tests' machinery: `SkipTest` is one of theirs


def form_of_type(kind: type) -> Form | None:
    """A plain class or an exception of Python's own, by its name; None for any other."""
    if not _is_open(kind, kind.__module__, kind.__qualname__):
        return None
    return ["type", kind.__module__, kind.__qualname__] if _named(kind.__module__, kind.__qualname__) is kind else None


def type_of_form(form: list[Form]) -> type:
    """The class, where it is loaded here. Raises `Malformed`."""
    _, module, name = form
    kind = _named(module, name)
    if not isinstance(kind, type) or not _is_open(kind, module, name):
        raise Malformed(f"no plain class: {module}.{name}")
    return kind


def _named(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_open(kind: type, module: str, name: str) -> bool:
    if (module, name) in _PLAIN or (module in _ABSTRACT and not name.startswith("_")):
        return True
    top = module.partition(".")[0]
    return issubclass(kind, BaseException) and top in sys.stdlib_module_names and top not in _CLOSED


def _write_datetime(value: Any, encode: Encode) -> Form:
    parts = [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
    return ["datetime", *parts, value.fold, encode(value.tzinfo)]


def _write_time(value: Any, encode: Encode) -> Form:
    return ["time", value.hour, value.minute, value.second, value.microsecond, value.fold, encode(value.tzinfo)]


def _write_timezone(value: Any, encode: Encode) -> Form:
    return ["timezone", encode(value.utcoffset(None)), value.tzname(None)]


_WRITERS: dict[type, Callable[[Any, Encode], Form]] = {
    **_CONTAINERS,
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
# Modules that are costly to import are known by name: whoever has such a value has imported them.
_NAMED_WRITERS: dict[tuple[str, str], Callable[[Any, Encode], Form]] = {
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
    ("numpy", "ndarray"): _write_array,
    **{("numpy", name): lambda value, _: ["number", value.dtype.str, _base64(value.tobytes())] for name in _NUMBERS},
    **{
        ("pathlib", name): lambda value, _: ["path", type(value).__name__, str(value)]
        for name in ("PosixPath", "PurePosixPath", "PureWindowsPath")
    },
}


def _read_datetime(form: list[Form], decode: Decode) -> Any:
    import datetime

    return datetime.datetime(*form[1:8]).replace(fold=form[8], tzinfo=decode(form[9]))


def _read_time(form: list[Form], decode: Decode) -> Any:
    import datetime

    return datetime.time(*form[1:5]).replace(fold=form[5], tzinfo=decode(form[6]))


def _read_of(module: str, name: str) -> Callable[[list[Form], Decode], Any]:
    """Calls a class with the decoded rest of the form; its module is imported when the first such value comes."""

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
    return _array(["array", form[1], [], form[2]])[()]


def _values_of(forms: list[Form], decode: Decode) -> list[Any]:
    return [decode(form) for form in forms]


_READERS: dict[str, Callable[[list[Form], Decode], Any]] = {
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
