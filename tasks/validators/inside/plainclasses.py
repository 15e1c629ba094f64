"""Classes that cross by their names: plain ones and exceptions of Python's own. Must not know how values are written."""

from __future__ import annotations

import sys
from typing import Any

from .forms import Form, Malformed

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
