"""Proxies of the other process's objects, one class here for each class there.

A proxy passes on what is done to it. Where the other side is not trusted (`Peer.strict`), it never lets it decide what
the tests compare: a proxy is equal to no plain value, ordered against none, and its arithmetic with plain values gives
no number that a test would compare with what it expects. Between two proxies the other side decides.

Must not know pipes, nor how objects are written.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .awaiting import await_other
from .descriptions import ARITHMETIC, ORDERING, SPECIALS, UNARY, Description
from .values import Decode, Form, Malformed, type_of_form

if TYPE_CHECKING:
    from .peer import Peer

# Of the other names between underscores none is looked up there: libraries ask objects by them how to treat them.
_READABLE = frozenset(
    f"__{name}__"
    for name in (
        *("name", "qualname", "doc", "module", "wrapped", "annotations", "defaults", "kwdefaults", "members", "slots"),
        *("version", "author", "all", "dict", "self", "func", "type_params", "abstractmethods"),
    )
)
# The arithmetic whose result does not tell how near two values are, as `abs(answer - expected) < 1e-9` does.
_NOT_MEASURING = frozenset(f"__{side}{name}__" for side in ("", "r", "i") for name in ("add", "mul", "matmul"))
_MIXED = (
    "an object of the solution's own was combined with plain values of the tests, and then read as a number: "
    "only a check with `isolation: shared` can do that"
)


class _OtherClass(type):
    """A class of the other process: calling it and reading from it happens there."""

    _redraft_peer: Peer
    _redraft_class: int
    _redraft_description: Description

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        if "_redraft_class" not in namespace:
            raise TypeError("a class of the solution can't be subclassed in the tests without `isolation: shared`")
        return super().__new__(mcs, name, bases, namespace)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._redraft_peer.request("call", cls, "", *args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        _require_readable(cls, name)
        return cls._redraft_peer.request("get", cls, name)


class RemoteClass(_OtherClass):
    """A class of objects."""

    def __setattr__(cls, name: str, value: Any) -> None:
        if name.startswith("__"):
            type.__setattr__(cls, name, value)
        else:
            cls._redraft_peer.request("set", cls, name, value)

    def __delattr__(cls, name: str) -> None:
        cls._redraft_peer.request("delete", cls, name)

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(cls, instance) or issubclass(getattr(type(instance), "_redraft_kind", type), cls)

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._redraft_peer.special(cls, "__iter__"))

    def __len__(cls) -> int:
        return int(cls._redraft_peer.special(cls, "__len__"))

    def __bool__(cls) -> bool:
        return True

    def __getitem__(cls, key: Any) -> Any:
        return cls._redraft_peer.special(cls, "__getitem__", key)

    def __contains__(cls, item: Any) -> bool:
        return bool(cls._redraft_peer.special(cls, "__contains__", item))


class Remote(metaclass=RemoteClass):
    """An object of the other process."""

    __slots__ = ("__weakref__", "_redraft_count", "_redraft_number", "_redraft_tainted")
    _redraft_class = 0

    def __getattr__(self, name: str) -> Any:
        _require_readable(type(self), name)
        return type(self)._redraft_peer.request("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_redraft_"):
            object.__setattr__(self, name, value)
        else:
            type(self)._redraft_peer.request("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        type(self)._redraft_peer.request("delete", self, name)

    def __eq__(self, other: object) -> Any:
        if self is other:
            return True
        if isinstance(other, Remote):
            return _same_objects(self, other)
        if type(self)._redraft_description.backed:
            content = type(self)._redraft_peer.request("content", self)
            return NotImplemented if isinstance(content, Remote) else content == other
        return NotImplemented

    __hash__ = object.__hash__

    def __copy__(self) -> Any:
        return type(self)._redraft_peer.request("copy", self, "shallow")

    def __deepcopy__(self, _: Any) -> Any:
        return type(self)._redraft_peer.request("copy", self, "deep")

    def __reduce_ex__(self, _: Any) -> Any:
        raise TypeError("an object of the solution can't be pickled in the tests without `isolation: shared`")

    def __del__(self) -> None:
        type(self)._redraft_peer.forget(self._redraft_number, self._redraft_count)


def _require_readable(owner: type, name: str) -> None:
    if name.startswith("_redraft_") or (name.startswith("__") and name.endswith("__") and name not in _READABLE):
        raise AttributeError(f"{owner.__name__!r} object has no attribute {name!r}")


def _same_objects(left: Remote, right: Remote) -> Any:
    """A dataclass's objects are compared by their fields, here; others by the other side."""
    description = type(left)._redraft_description
    if description.compared is not None:
        return type(left) is type(right) and all(
            getattr(left, name) == getattr(right, name) for name in description.compared
        )
    return type(left)._redraft_peer.special(left, "__eq__", right)


class Proxies:
    """All proxies of a process. `named` are the classes that the tests name: see `_arithmetic`."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.classes: dict[int, type] = {}
        self.named: set[type] = set()
        self._alive: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._wrapped: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # of what is wrapped
        self._scalars: dict[tuple[int, type], type] = {}
        self._members: dict[int, Any] = {}  # of enumerations: compared by `is`

    def number_of(self, value: Any) -> int | None:
        """The other side's number of its own object; None for an object of this side."""
        kind = type(value)
        if isinstance(kind, RemoteClass):
            return int(value._redraft_number)
        if isinstance(value, type):
            return vars(value).get("_redraft_class")
        if isinstance(value, BaseException):
            return vars(value).get("_redraft_number")
        if kind in (types.GeneratorType, types.CoroutineType):
            return self._numbers.get(value)
        return int(vars(value)["_redraft_proxy"]._redraft_number) if hasattr(kind, "_redraft_kind") else None

    def learn(self, number: int, description: Description) -> None:
        """Makes the class of the other side with that number, once. Raises `Malformed`."""
        if number in self.classes:
            return
        bases = tuple(self.classes[form[1]] if form[0] == "class" else type_of_form(form) for form in description.bases)
        build = _error_class if description.kind == "error" else _object_class
        self.classes[number] = build(self._peer, number, description, bases)

    def proxy_of(self, tag: str, number: int, class_number: int) -> Any:
        """The proxy of an object: the same one while it lives."""
        kind = self.classes[class_number]
        proxy: Any = self._alive.get(number)
        if proxy is None:
            if not isinstance(kind, RemoteClass):
                raise Malformed("no class of objects")
            proxy = object.__new__(kind)  # type: ignore[arg-type]
            proxy._redraft_number, proxy._redraft_count, proxy._redraft_tainted = number, 1, False
            self._alive[number] = proxy
        else:
            proxy._redraft_count += 1
        return proxy if tag == "mine" else self._wrapper(tag, number, proxy)

    def _wrapper(self, tag: str, number: int, proxy: Remote) -> Any:
        wrapper = self._wrapped.get(number)
        if wrapper is None:
            wrapper = _generate(self._peer, proxy) if tag == "generator" else await_other(self._peer, proxy)
            self._wrapped[number], self._numbers[wrapper] = wrapper, number
        return wrapper

    def scalar_of(self, number: int, class_number: int, value: Any) -> Any:
        """A plain value with the methods of the other side's object beside it."""
        kind = self.classes[class_number]
        if number in self._members:
            return self._members[number]
        if not isinstance(kind, RemoteClass) or type(value) not in _SCALAR_TYPES:
            raise Malformed("no scalar")
        proxy = self.proxy_of("mine", number, class_number)
        local = self._scalars.get((class_number, type(value)))
        if local is None:
            local = self._scalars[class_number, type(value)] = _scalar_class(kind, type(value))
        scalar: Any = type(value).__new__(local, value)
        scalar._redraft_proxy = proxy
        if kind._redraft_description.single:
            self._members[number] = scalar
        return scalar

    def error_of(self, form: list[Form], decode: Decode) -> BaseException:
        """An exception of the other side: its class and text, its arguments and attributes."""
        _, kind_form, number, args_form, attributes_form, text, cause_form, place = form
        kind, args, attributes = decode(kind_form), decode(args_form), decode(attributes_form)
        if not (isinstance(kind, type) and issubclass(kind, BaseException) and type(args) is tuple):
            raise Malformed("no exception")
        error = _new_error(kind, args)
        vars(error).update({name: value for name, value in attributes.items() if not name.startswith("_")})
        vars(error).update(_redraft_text=str(text), _redraft_place=place)
        if number:
            vars(error)["_redraft_number"] = number
        cause = decode(cause_form)
        if isinstance(cause, BaseException):
            error.__cause__ = cause
        return error


_SCALAR_TYPES = (int, float, complex, str, bytes, tuple, frozenset)


def _object_class(peer: Peer, number: int, description: Description, bases: tuple[type, ...]) -> type:
    specials = [name for name in SPECIALS if name in description.specials]  # those, whatever else is described
    namespace: dict[str, Any] = {name: _special(name) for name in specials}
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
    """A method of a class of the other side: one request a call."""

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


def _special(name: str) -> Callable[..., Any]:
    for names, rule in ((ORDERING, _ordering), (ARITHMETIC, _arithmetic), (UNARY, _unary)):
        if name in names:
            return rule(name)
    return _OWN_RULES.get(name) or (lambda self, *args: type(self)._redraft_peer.special(self, name, *args))


def _ordering(name: str) -> Callable[..., Any]:
    def compare(self: Any, other: Any) -> Any:
        peer = type(self)._redraft_peer
        if peer.strict and not isinstance(other, Remote):
            return NotImplemented
        return peer.special(self, name, other)

    return compare


def _arithmetic(name: str) -> Callable[..., Any]:
    """With a plain value, only objects whose class the tests name take part, and what comes of a subtraction or a
    division is no plain value: it could be made to look as if it were near to what is expected."""

    def calculate(self: Any, other: Any, *rest: Any) -> Any:
        peer = type(self)._redraft_peer
        if not peer.strict or isinstance(other, Remote):
            return peer.special(self, name, other, *rest)
        if not any(one in peer.proxies.named for one in type(self).__mro__):
            return NotImplemented
        value = peer.special(self, name, other, *rest)
        if isinstance(value, Remote):
            value._redraft_tainted = value is not self
        elif name not in _NOT_MEASURING and value is not NotImplemented:
            raise TypeError(_MIXED)
        return value

    return calculate


def _unary(name: str) -> Callable[..., Any]:
    def calculate(self: Any, *args: Any) -> Any:
        if self._redraft_tainted:
            raise TypeError(_MIXED)
        return type(self)._redraft_peer.special(self, name, *args)

    return calculate


def _contains(self: Any, item: Any) -> bool:
    """An object whose class the tests name says itself what is in it; any other is looked through."""
    peer = type(self)._redraft_peer
    named = any(one in peer.proxies.named for one in type(self).__mro__)
    if not peer.strict or isinstance(item, Remote) or named:
        return bool(peer.special(self, "__contains__", item))
    return any(one is item or one == item for one in self)


_OWN_RULES: dict[str, Callable[..., Any]] = {
    "__call__": lambda self, *args, **kwargs: type(self)._redraft_peer.request("call", self, "", *args, **kwargs),
    "__await__": lambda self: await_other(type(self)._redraft_peer, self).__await__(),
    "__contains__": _contains,
}


def _scalar_class(kind: RemoteClass, base: type) -> type:
    def forward(name: str) -> Callable[..., Any]:
        return lambda self, *args: getattr(self._redraft_proxy, name)(*args)

    namespace: dict[str, Any] = {name: forward(name) for name in ("__repr__", "__str__")}
    namespace["__getattr__"] = lambda self, name: getattr(self._redraft_proxy, name)
    namespace.update({"_redraft_kind": kind, "__module__": kind.__module__, "__qualname__": kind.__qualname__})
    return type(kind.__name__, (base,), namespace)


class _ErrorClass(_OtherClass):
    """A class of exceptions. Such classes are real ones here, so that `except` knows them."""


def _error_class(peer: Peer, number: int, description: Description, bases: tuple[type, ...]) -> type:
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
    _require_readable(type(self), name)
    return type(self)._redraft_peer.request("get", self, name)


def _new_error(kind: Any, args: tuple[Any, ...]) -> BaseException:
    own = next(one for one in kind.__mro__ if not isinstance(one, _ErrorClass))
    error: BaseException
    try:
        error = own.__new__(kind, *args)
        own.__init__(error, *args)
    except TypeError:  # a class that wants other arguments than those it keeps
        error = own.__new__(kind)
    error.args = args
    return error


def _generate(peer: Peer, proxy: Remote) -> Any:
    """A generator that drives one of the other side."""
    try:
        item = peer.special(proxy, "__next__")
        while True:
            try:
                value = yield item
            except GeneratorExit:
                peer.request("method", proxy, "close")
                raise
            except BaseException as error:  # noqa: BLE001 - it is the generator's to handle
                item = peer.request("method", proxy, "throw", error)
            else:
                item = peer.request("method", proxy, "send", value)
    except StopIteration as end:
        return end.value
