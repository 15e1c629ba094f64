"""The module `solution` as the tests see it: a stand-in that passes everything on to the candidate's process.

Must not know pytest, nor what becomes of the outcome.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

from .channels import Channel, Channels, Gone
from .peer import Peer
from .remote import Remote, RemoteClass

NAME = "solution"
_READABLE = frozenset({"__name__", "__qualname__", "__doc__", "__module__"})
# What Python's own objects offer beside their use: a way from a generator, a frame or a function to the tests' data.
_INNER = ("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_")
_OPERATIONS = frozenset({"call", "method", "get", "set", "delete", "special", "copy", "content", "await"})
# Callables of Python's own that a test might hand over as one, and that would do more than the test means.
_BROAD = frozenset({eval, exec, compile, open, getattr, setattr, delattr, vars, globals, locals, __import__})
_CLOSED = (types.FrameType, types.CodeType, types.TracebackType, types.ModuleType)


class Forbidden(AttributeError):
    """The solution tried to do something to an object of the tests that is not its to do."""


class _Standin(types.ModuleType):
    """The module. Its names are looked up there each time: a test may have set one."""

    def __init__(self, peer: Peer, module: Any, names: list[str], named: frozenset[str]) -> None:
        super().__init__(NAME)
        vars(self).update(_peer=peer, _module=module, _named=named, __all__=names, __file__=f"{NAME}.py")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in ("__version__", "__author__", "__doc__"):
            raise AttributeError(name)
        value = vars(self)["_peer"].request("get", vars(self)["_module"], name)
        if isinstance(value, RemoteClass) and name in vars(self)["_named"]:
            vars(self)["_peer"].proxies.named.add(value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            vars(self)[name] = value
        else:
            vars(self)["_peer"].request("set", vars(self)["_module"], name, value)

    def __delattr__(self, name: str) -> None:
        vars(self)["_peer"].request("delete", vars(self)["_module"], name)

    def __dir__(self) -> list[str]:
        return list(vars(self)["__all__"])


class Candidate:
    """The candidate's process, by the pipes to it. `lost` says how it was lost, if it was; `named` are the names of
    classes in the tests' source."""

    def __init__(self, pairs: list[tuple[int, int]], named: frozenset[str]) -> None:
        channels = Channels([_Watched(self, reading, writing) for reading, writing in pairs], borrows=False)
        self._peer = Peer(channels, strict=True, permit=permit, show=_show)
        self._named = named
        self.lost: str | None = None

    def compile(self) -> dict[str, Any] | None:
        """Why the solution does not compile: type, message, and where; None where it does."""
        fault = self._peer.request("call", None, "compile")
        return fault if type(fault) is dict else None

    def load(self) -> types.ModuleType:
        """Runs the solution; its stand-in. Raises what it raises, and `Gone`."""
        module, names = self._peer.request("call", None, "load", _readline, _read, _ask)
        if not isinstance(module, Remote) or type(names) is not list:
            raise Gone("it has no module")
        return _Standin(self._peer, module, [name for name in names if type(name) is str], self._named)

    def follow(self) -> None:
        """From now on the candidate's process changes its folder with this one."""
        change, request = os.chdir, self._peer.request

        def chdir(path: Any) -> None:
            change(path)
            request("call", None, "chdir", str(Path.cwd()))

        os.chdir = chdir


class _Watched(Channel):
    """Notes the loss of the candidate, whatever the tests make of it."""

    def __init__(self, candidate: Candidate, reading: int, writing: int) -> None:
        super().__init__(reading, writing)
        self._candidate = candidate

    def send(self, frame: list[Any]) -> None:
        try:
            super().send(frame)
        except Gone as error:
            self._candidate.lost = str(error)
            raise

    def receive(self) -> list[Any]:
        try:
            return super().receive()
        except Gone as error:
            self._candidate.lost = str(error)
            raise


class Finder:
    """Imports `solution`, for `sys.meta_path`."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The protocol of `importlib`."""
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self) if name == NAME else None  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> types.ModuleType:
        """Loads it."""
        return self._candidate.load()

    def exec_module(self, module: types.ModuleType) -> None:
        """It has been run."""


def permit(operation: str, target: Any, name: str) -> None:
    """What the candidate may do to an object of the tests: use it as any caller would. Raises `Forbidden`."""
    if operation not in _OPERATIONS or isinstance(target, _CLOSED) or type(target).__module__.startswith("_pytest"):
        raise Forbidden(f"{operation} of {type(target).__name__}")
    if operation in ("call", "special") and isinstance(target, types.BuiltinFunctionType) and target in _BROAD:
        raise Forbidden(f"a call of {target.__name__}")
    if operation in ("set", "delete") and (isinstance(target, type | types.FunctionType) or _of_python(type(target))):
        raise Forbidden(f"an attribute of {type(target).__name__} can't be changed")
    if operation in ("get", "set", "delete", "method"):
        special = name.startswith("_") and not (operation == "get" and name in _READABLE)
        if special or (name.startswith(_INNER) and _of_python(type(target))):
            raise Forbidden(f"{name} of {type(target).__name__}")
    if operation == "special" and name not in _specials():
        raise Forbidden(f"{name} of {type(target).__name__}")


def _specials() -> frozenset[str]:
    from .descriptions import SPECIALS

    return frozenset((*SPECIALS, "__eq__", "__ne__"))


def _of_python(kind: type) -> bool:
    top = kind.__module__.partition(".")[0]
    return top in sys.stdlib_module_names and kind is not types.SimpleNamespace and kind.__module__ != "__main__"


def _show(written: list[Any]) -> None:
    """Writes what the candidate printed and warned of, as if it had done so here."""
    for kind, *rest in written:
        match kind:
            case "out":
                sys.stdout.write(str(rest[0]))
            case "err":
                sys.stderr.write(str(rest[0]))
            case "warning":
                _warn(*rest)


def _readline() -> str:
    return sys.stdin.readline()


def _read() -> str:
    return sys.stdin.read()


def _ask(prompt: str = "") -> str:
    return input(prompt)


def _warn(category: str, text: str) -> None:
    import builtins
    import warnings

    known = getattr(builtins, category, None)
    is_warning = isinstance(known, type) and issubclass(known, Warning)
    warnings.warn(text, known if is_warning else UserWarning, stacklevel=2)
