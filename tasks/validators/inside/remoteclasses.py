"""Makes a class here for each class of the other process, from its description.

Must not know which objects there are.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .descriptions import SPECIALS, Description
from .remote import OtherClass, Remote, RemoteClass, require_readable
from .specialmethods import special_method

if TYPE_CHECKING:
    from .peer import Peer


def object_class(peer: Peer, number: int, description: Description, bases: tuple[type, ...]) -> type:
    # No others, whatever the description contains.
    specials = [name for name in SPECIALS if name in description.specials]
    namespace: dict[str, Any] = {name: special_method(name) for name in specials}
    namespace.update({name: _Method(name) for name in description.methods if not name.startswith("__")})
    namespace.update(_common(peer, number, description), __slots__=(), __match_args__=tuple(description.match_args))
    if not description.hashable:
        namespace["__hash__"] = None
    if description.kind == "function":
        namespace["__get__"] = lambda self, instance, owner=None: (
            self if instance is None else types.MethodType(self, instance)
        )
        namespace["__doc__"] = property(lambda self: peer.request("get", self, "__doc__"))
    if description.fields is not None:
        import dataclasses

        namespace["__dataclass_fields__"] = dataclasses.make_dataclass(
            "Fields", description.fields
        ).__dataclass_fields__  # type: ignore[attr-defined]
    objects = tuple(base for base in bases if isinstance(base, RemoteClass))
    kind: type = RemoteClass(description.name, objects or (Remote,), namespace)
    return kind


def _common(peer: Peer, number: int, description: Description) -> dict[str, Any]:
    return {
        "__module__": description.module,
        "__qualname__": description.qualname,
        "__doc__": description.doc,
        "_redraft_peer": peer,
        "_redraft_class": number,
        "_redraft_description": description,
    }


class _Method:
    """A method of a class of the other side: each call is one request."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, proxy: Any, owner: Any) -> Any:
        if proxy is None:
            return owner._redraft_peer.request("get", owner, self._name)
        return _BoundMethod(proxy, self._name)


class _BoundMethod:
    def __init__(self, proxy: Any, name: str) -> None:
        self.__self__, self.__name__ = proxy, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return type(self.__self__)._redraft_peer.request("method", self.__self__, self.__name__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(type(self.__self__)._redraft_peer.request("get", self.__self__, self.__name__), name)


def scalar_class(kind: RemoteClass, base: type) -> type:
    def forward(name: str) -> Callable[..., Any]:
        return lambda self, *args: getattr(self._redraft_proxy, name)(*args)

    namespace: dict[str, Any] = {name: forward(name) for name in ("__repr__", "__str__")}
    namespace["__getattr__"] = lambda self, name: getattr(self._redraft_proxy, name)
    namespace.update({"_redraft_kind": kind, "__module__": kind.__module__, "__qualname__": kind.__qualname__})
    return type(kind.__name__, (base,), namespace)


class _ErrorClass(OtherClass):
    """The proxy of a class of exceptions. It is a real exception class, so that `except` works."""


def error_class(peer: Peer, number: int, description: Description, bases: tuple[type, ...]) -> type:
    namespace = _common(peer, number, description)
    namespace["__str__"] = lambda self: vars(self).get("_redraft_text", "")
    namespace["__getattr__"] = _error_attribute
    errors = tuple(base for base in bases if issubclass(base, BaseException))
    kind: type = _ErrorClass(description.name, errors or (Exception,), namespace)
    return kind


def _error_attribute(self: Any, name: str) -> Any:
    number = vars(self).get("_redraft_number")
    if number is None:
        raise AttributeError(name)
    require_readable(type(self), name)
    return type(self)._redraft_peer.request("get", self, name)


def new_error(kind: Any, args: tuple[Any, ...]) -> BaseException:
    python_class = next(base for base in kind.__mro__ if not isinstance(base, _ErrorClass))
    error: BaseException
    try:
        error = python_class.__new__(kind, *args)
        python_class.__init__(error, *args)
    except TypeError:  # the constructor takes other arguments than `args`
        error = python_class.__new__(kind)
    error.args = args
    return error
