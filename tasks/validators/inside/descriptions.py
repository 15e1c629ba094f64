"""Describes a class so that the other process can make proxies of its objects; decides which objects are plain values.

Must not know proxies, pipes, nor in which process it runs.
"""

from __future__ import annotations

import enum
import types
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from .forms import Form

# Special methods that a proxy forwards. Attribute access, comparison and construction have their own rules.
UNARY: tuple[str, ...] = (
    "__abs__",
    "__neg__",
    "__pos__",
    "__invert__",
    "__int__",
    "__float__",
    "__index__",
    "__complex__",
)
UNARY += ("__trunc__", "__floor__", "__ceil__", "__round__", "__bool__", "__len__")
ORDERING = ("__lt__", "__le__", "__gt__", "__ge__")
_ARITHMETIC: tuple[str, ...] = (
    "add",
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "lshift",
    "rshift",
)
_ARITHMETIC += ("and", "or", "xor")
ARITHMETIC = tuple(f"__{side}{name}__" for side in ("", "r", "i") for name in _ARITHMETIC)
OTHERS: tuple[str, ...] = (
    "__call__",
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__iter__",
    "__next__",
    "__reversed__",
)
OTHERS += ("__enter__", "__exit__", "__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__", "__length_hint__")
OTHERS += ("__repr__", "__str__", "__format__", "__bytes__", "__hash__", "__copy__", "__deepcopy__", "__missing__")
SPECIALS = (*UNARY, *ORDERING, *ARITHMETIC, *OTHERS)

_CONTAINERS = (list, dict, set, bytearray, deque)
_SCALARS = (int, float, complex, str, bytes, tuple, frozenset)
# What a subclass may define and still count as a plain value, since none of it adds behaviour.
_NO_BEHAVIOUR = frozenset(
    {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__slots__", "__annotations__", "__new__"}
    | {"__init__", "__eq__", "__ne__", "__hash__", "__repr__", "__str__", "__orig_bases__", "__parameters__"}
    | {"__firstlineno__", "__static_attributes__", "__annotate__", "__annotations_cache__", *ORDERING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A class. `kind` is object, error, enum, function or scalar; `bases` are forms of classes; `methods` are its own
    functions; `fields` are those of a dataclass, `compared` those that its `==` compares; `backed` says that its
    objects are containers, `single` that they are members of an enumeration."""

    name: str
    qualname: str
    module: str
    doc: str | None
    kind: str
    bases: list[Form]
    specials: list[str]
    methods: list[str]
    fields: list[str] | None
    compared: list[str] | None
    hashable: bool
    backed: bool
    single: bool
    match_args: list[str]

    @staticmethod
    def from_form(form: Form) -> Description:
        """The description in a form. Raises `TypeError` where it is none."""
        return Description(**form)

    def form(self) -> Form:
        """The description as JSON."""
        return asdict(self)


def describe(kind: type, bases: list[Form]) -> Description:
    """Describes a class. `bases` are the forms of its base classes from programs and of Python's exceptions."""
    dataclass_fields = fields(kind) if is_dataclass(kind) else None
    compared = dataclass_fields is not None and kind.__dataclass_params__.eq  # type: ignore[attr-defined]
    return Description(
        name=kind.__name__,
        qualname=kind.__qualname__,
        module=kind.__module__ if isinstance(kind.__module__, str) else "",
        doc=kind.__doc__ if isinstance(kind.__doc__, str) else None,
        kind=_kind(kind),
        bases=bases,
        specials=[name for name in SPECIALS if _defines(kind, name)],
        methods=[name for name, value in vars(kind).items() if isinstance(value, types.FunctionType)],
        fields=None if dataclass_fields is None else [field.name for field in dataclass_fields],
        compared=[field.name for field in dataclass_fields or () if field.compare] if compared else None,
        hashable=kind.__hash__ is not None,
        backed=container_base(kind) is not None,
        single=issubclass(kind, enum.Enum),
        match_args=[name for name in getattr(kind, "__match_args__", ()) if isinstance(name, str)],
    )


def _kind(kind: type) -> str:
    if issubclass(kind, BaseException):
        return "error"
    if scalar_base(kind) is not None:
        return "scalar"
    if issubclass(kind, enum.Enum):
        return "enum"
    return "function" if kind is types.FunctionType else "object"


def _defines(kind: type, name: str) -> bool:
    return any(vars(base).get(name) is not None for base in kind.__mro__ if base is not object)


def plain_base(kind: type) -> type | None:
    """The plain type of which `kind` is a subclass without behaviour of its own; None where there is none."""
    base = _base(kind, (*_SCALARS, *_CONTAINERS))
    if base is None or issubclass(kind, enum.Enum):
        return None
    names = set(_added_names(kind, base)) - _NO_BEHAVIOUR
    if base in _SCALARS and not any(not name.startswith("__") for name in names):
        return base
    return base if not names else None


def scalar_base(kind: type) -> type | None:
    """The immutable plain type of which `kind` is a subclass with methods of its own; None where there is none."""
    return None if plain_base(kind) is not None else _base(kind, _SCALARS)


def container_base(kind: type) -> type | None:
    """The container type of which `kind` is a subclass with methods of its own; None where there is none. Its objects
    stay in their process."""
    return None if plain_base(kind) is not None else _base(kind, _CONTAINERS)


def _base(kind: type, among: tuple[type, ...]) -> type | None:
    return next((base for base in among if issubclass(kind, base) and kind is not base), None)


def _added_names(kind: type, plain: type) -> Iterator[str]:
    for base in kind.__mro__:
        if base in plain.__mro__:
            return
        yield from vars(base)


def own_bases(kind: type) -> list[type]:
    """The bases that a proxy class of `kind` has, too: classes of programs, and Python's own exceptions."""
    return [base for base in kind.__bases__ if base is not object and _is_described(base)]


def _is_described(kind: type) -> bool:
    import sys

    of_python = kind.__module__.partition(".")[0] in sys.stdlib_module_names and kind.__module__ != "__main__"
    return not of_python or issubclass(kind, BaseException)


def location_of(error: BaseException, file: str) -> tuple[int, str] | None:
    """The line and statement in `file` where an exception was raised, or None."""
    import linecache

    location, traceback = None, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            location = (traceback.tb_lineno, linecache.getline(file, traceback.tb_lineno).strip()[:120])
        traceback = traceback.tb_next
    return location


def attributes_of(error: BaseException) -> dict[str, Any]:
    """The attributes of an exception besides its arguments."""
    return {name: value for name, value in vars(error).items() if not name.startswith("_redraft_")}
