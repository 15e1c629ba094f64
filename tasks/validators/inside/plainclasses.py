"""The classes that are sent by their names: plain ones and Python's own exceptions.

Must not know how a value is sent.
"""

from __future__ import annotations

import sys
from typing import Any

from .forms import Form, Malformed

# The plain classes that are sent by name. A class is a callable, and whoever receives one may call it.
_PLAIN = frozenset(
    {("builtins", name) for name in ("object", "int", "float", "complex", "bool", "str", "bytes", "bytearray", "list")}
    | {("builtins", name) for name in ("tuple", "dict", "set", "frozenset", "range", "slice", "type", "NoneType")}
    | {("collections", name) for name in ("deque", "Counter", "OrderedDict", "defaultdict")}
    | {("datetime", name) for name in ("date", "time", "datetime", "timedelta", "timezone")}
    | {("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID")}
)
_ABSTRACT = frozenset({"collections.abc", "numbers"})
_CLOSED = frozenset({"unittest", "doctest", "bdb", "pdb"})  # of the test machinery: `SkipTest` is one of theirs


def form_of_type(kind: type) -> Form | None:
    """The form of a plain class or of an exception of Python's own; None for any other class."""
    if not _is_open(kind, kind.__module__, kind.__qualname__):
        return None
    return ["type", kind.__module__, kind.__qualname__] if _lookup(kind.__module__, kind.__qualname__) is kind else None


def type_of_form(form: list[Form]) -> type:
    """The class of a form, if it is loaded here. Raises `Malformed`."""
    _, module, name = form
    kind = _lookup(module, name)
    if not isinstance(kind, type) or not _is_open(kind, module, name):
        raise Malformed(f"no plain class: {module}.{name}")
    return kind


def _lookup(module: str, name: str) -> Any:
    value: Any = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def _is_open(kind: type, module: str, name: str) -> bool:
    if (module, name) in _PLAIN or (module in _ABSTRACT and not name.startswith("_")):
        return True
    top = module.partition(".")[0]
    return issubclass(kind, BaseException) and top in sys.stdlib_module_names and top not in _CLOSED
