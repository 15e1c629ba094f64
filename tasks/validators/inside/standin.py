"""The candidate's modules in the tests' process: stand-ins that forward everything to the candidate's process.

Must not know pytest, nor how outcomes are used.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

from .channels import Channel, Channels, ConnectionLost
from .peer import Peer
from .remote import Remote, RemoteClass

_READABLE = frozenset({"__name__", "__qualname__", "__doc__", "__module__"})
# Introspection attributes: through them a generator, a frame or a function leads to the tests' data.
_INTROSPECTION = ("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_")
_OPERATIONS = frozenset({"call", "method", "get", "set", "delete", "special", "copy", "content", "await"})
# Callables of Python that a test might pass to the solution, and that can do more than the test intends.
_BROAD = frozenset({eval, exec, compile, open, getattr, setattr, delattr, vars, globals, locals, __import__})
_CLOSED_TYPES = (types.FrameType, types.CodeType, types.TracebackType, types.ModuleType)


class Forbidden(AttributeError):
    """The solution tried an operation on an object of the tests that is not allowed."""


class _Standin(types.ModuleType):
    """The module. Each access to a name goes to the candidate's process, since a test may have set it."""

    def __init__(self, name: str, peer: Peer, module: Any, names: list[str], named: frozenset[str]) -> None:
        super().__init__(name)
        file = f"{name.replace('.', '/')}.py"
        vars(self).update(_peer=peer, _module=module, _named=named, __all__=names, __file__=file)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in ("__version__", "__author__", "__doc__"):
            raise AttributeError(name)
        value = vars(self)["_peer"].request("get", vars(self)["_module"], name)
        if isinstance(value, RemoteClass) and name in vars(self)["_named"]:
            vars(self)["_peer"].proxies.named.add(value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or isinstance(value, _Standin):  # a module that was imported from this package
            vars(self)[name] = value
        else:
            vars(self)["_peer"].request("set", vars(self)["_module"], name, value)

    def __delattr__(self, name: str) -> None:
        vars(self)["_peer"].request("delete", vars(self)["_module"], name)

    def __dir__(self) -> list[str]:
        return list(vars(self)["__all__"])


class Candidate:
    """The candidate's process, through the pipes to it. `connection_error` says how the connection broke, or is None;
    `named` are the names of classes in the source of the tests."""

    def __init__(self, pairs: list[tuple[int, int]], named: frozenset[str]) -> None:
        channels = Channels(
            [_WatchedChannel(self, reading, writing) for reading, writing in pairs], share_serving=False
        )
        self._peer = Peer(channels, strict=True, permit=permit, on_output=_replay_output)
        self._named = named
        self.connection_error: str | None = None

    def compile(self) -> dict[str, Any] | None:
        """The error if the solution does not compile: type, message, line and text; None where it does."""
        fault = self._peer.request("call", None, "compile")
        return fault if type(fault) is dict else None

    def load(self, name: str) -> types.ModuleType:
        """Runs a module; returns its stand-in. Raises what the module raises, and `ConnectionLost`."""
        module, names = self._peer.request("call", None, "load", name, _readline, _read, _input)
        if not isinstance(module, Remote) or type(names) is not list:
            raise ConnectionLost("it has no module")
        return _Standin(name, self._peer, module, [one for one in names if type(one) is str], self._named)

    def follow(self) -> None:
        """Makes the candidate's process follow this one when it changes its working folder."""
        change, request = os.chdir, self._peer.request

        def chdir(path: Any) -> None:
            change(path)
            request("call", None, "chdir", str(Path.cwd()))

        os.chdir = chdir


class _WatchedChannel(Channel):
    """Records that the connection broke, however the tests handle the exception."""

    def __init__(self, candidate: Candidate, reading: int, writing: int) -> None:
        super().__init__(reading, writing)
        self._candidate = candidate

    def send(self, frame: list[Any]) -> None:
        try:
            super().send(frame)
        except ConnectionLost as error:
            self._candidate.connection_error = str(error)
            raise

    def receive(self) -> list[Any]:
        try:
            return super().receive()
        except ConnectionLost as error:
            self._candidate.connection_error = str(error)
            raise


class Finder:
    """Imports the candidate's `modules`, for `sys.meta_path`."""

    def __init__(self, candidate: Candidate, modules: list[str]) -> None:
        self._candidate, self._modules = candidate, frozenset(modules)
        self._packages = frozenset(name.rpartition(".")[0] for name in modules)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """See `importlib.abc.MetaPathFinder`."""
        from importlib.machinery import ModuleSpec

        if name not in self._modules:
            return None
        return ModuleSpec(name, self, is_package=name in self._packages)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> types.ModuleType:
        """Runs the module."""
        return self._candidate.load(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Does nothing: the solution has run already."""


def permit(operation: str, target: Any, name: str) -> None:
    """Allows the candidate to use an object of the tests as any caller would. Raises `Forbidden` for anything else."""
    if (
        operation not in _OPERATIONS
        or isinstance(target, _CLOSED_TYPES)
        or type(target).__module__.startswith("_pytest")
    ):
        raise Forbidden(f"{operation} of {type(target).__name__}")
    if operation in ("call", "special") and isinstance(target, types.BuiltinFunctionType) and target in _BROAD:
        raise Forbidden(f"a call of {target.__name__}")
    if operation in ("set", "delete") and (isinstance(target, type | types.FunctionType) or _is_standard(type(target))):
        raise Forbidden(f"an attribute of {type(target).__name__} can't be changed")
    if operation in ("get", "set", "delete", "method"):
        special = name.startswith("_") and not (operation == "get" and name in _READABLE)
        if special or (name.startswith(_INTROSPECTION) and _is_standard(type(target))):
            raise Forbidden(f"{name} of {type(target).__name__}")
    if operation == "special" and name not in _specials():
        raise Forbidden(f"{name} of {type(target).__name__}")


def _specials() -> frozenset[str]:
    from .descriptions import SPECIALS

    return frozenset((*SPECIALS, "__eq__", "__ne__"))


def _is_standard(kind: type) -> bool:
    package = kind.__module__.partition(".")[0]
    return package in sys.stdlib_module_names and kind is not types.SimpleNamespace and kind.__module__ != "__main__"


def _replay_output(output: list[Any]) -> None:
    """Repeats in this process what the candidate printed, and its warnings."""
    for kind, *rest in output:
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


def _input(prompt: str = "") -> str:
    return input(prompt)


def _warn(category: str, text: str) -> None:
    import builtins
    import warnings

    known = getattr(builtins, category, None)
    is_warning = isinstance(known, type) and issubclass(known, Warning)
    warnings.warn(text, known if is_warning else UserWarning, stacklevel=2)
