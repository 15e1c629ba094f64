"""What the other process must know of a class to make proxies of its objects; which objects are plain values.

Must not know proxies, pipes, nor which side it runs on.
"""

from __future__ import annotations

import enum
import types
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from .forms import Form

# Special methods that a proxy passes on. Attribute access, comparison and construction have rules of their own.
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
# What a subclass may define and still be a plain value: it says nothing that the value itself does not.
_NO_BEHAVIOUR = frozenset(
    {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__slots__", "__annotations__", "__new__"}
    | {"__init__", "__eq__", "__ne__", "__hash__", "__repr__", "__str__", "__orig_bases__", "__parameters__"}
    | {"__firstlineno__", "__static_attributes__", "__annotate__", "__annotations_cache__", *ORDERING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A class. `kind` is object, error, enum, function or scalar; `bases` are forms of classes; `methods` its own
    functions; `fields` a dataclass's, `compared` those that its `==` compares; `backed` says that its objects have the
    content of a container, `single` that they are members of an enumeration."""

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
        """Raises `TypeError` for what describes no class."""
        return Description(**form)

    def form(self) -> Form:
        """As JSON."""
        return asdict(self)


def describe(kind: type, bases: list[Form]) -> Description:
    """`bases` are the forms of the classes that it has from its own module or from Python's exceptions."""
    given = fields(kind) if is_dataclass(kind) else None
    compared = given is not None and kind.__dataclass_params__.eq  # type: ignore[attr-defined]
    return Description(
        name=kind.__name__,
        qualname=kind.__qualname__,
        module=kind.__module__ if isinstance(kind.__module__, str) else "",
        doc=kind.__doc__ if isinstance(kind.__doc__, str) else None,
        kind=_kind(kind),
        bases=bases,
        specials=[name for name in SPECIALS if _defines(kind, name)],
        methods=[name for name, value in vars(kind).items() if isinstance(value, types.FunctionType)],
        fields=None if given is None else [one.name for one in given],
        compared=[one.name for one in given or () if one.compare] if compared else None,
        hashable=kind.__hash__ is not None,
        backed=kept_base(kind) is not None,
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
    return any(vars(one).get(name) is not None for one in kind.__mro__ if one is not object)


def plain_base(kind: type) -> type | None:
    """The plain type that says all there is to say of an object of `kind`, a subclass of it; else None."""
    base = _base(kind, (*_SCALARS, *_CONTAINERS))
    if base is None or issubclass(kind, enum.Enum):
        return None
    names = set(_own_names(kind, base)) - _NO_BEHAVIOUR
    if base in _SCALARS and not any(not name.startswith("__") for name in names):
        return base
    return base if not names else None


def scalar_base(kind: type) -> type | None:
    """The immutable plain type whose value an object of `kind` has beside methods of its own; else None."""
    return None if plain_base(kind) is not None else _base(kind, _SCALARS)


def kept_base(kind: type) -> type | None:
    """The container whose content an object of `kind` has, which stays where it is; else None."""
    return None if plain_base(kind) is not None else _base(kind, _CONTAINERS)


def _base(kind: type, among: tuple[type, ...]) -> type | None:
    return next((base for base in among if issubclass(kind, base) and kind is not base), None)


def _own_names(kind: type, base: type) -> Iterator[str]:
    for one in kind.__mro__:
        if one in base.__mro__:
            return
        yield from vars(one)


def own_bases(kind: type) -> list[type]:
    """The classes that a proxy of `kind` derives from: those of programs, and Python's own exceptions."""
    return [base for base in kind.__bases__ if base is not object and _is_told(base)]


def _is_told(kind: type) -> bool:
    import sys

    of_python = kind.__module__.partition(".")[0] in sys.stdlib_module_names and kind.__module__ != "__main__"
    return not of_python or issubclass(kind, BaseException)


def place_of(error: BaseException, file: str) -> tuple[int, str] | None:
    """Where in `file` an exception was raised: line and statement."""
    import linecache

    place, traceback = None, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            place = (traceback.tb_lineno, linecache.getline(file, traceback.tb_lineno).strip()[:120])
        traceback = traceback.tb_next
    return place


def attributes_of(error: BaseException) -> dict[str, Any]:
    """What an exception carries beside its arguments."""
    return {name: value for name, value in vars(error).items() if not name.startswith("_redraft_")}
