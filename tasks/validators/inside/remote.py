"""Proxies of objects and classes of the other process: every operation on a proxy is performed there.

Where the other side is not trusted (`Peer.strict`), it never decides what the tests compare: a proxy is equal to no
plain value. Between two proxies the other side decides. Must not know pipes, nor how objects are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .descriptions import Description

if TYPE_CHECKING:
    from .peer import Peer

# Other names with double underscores are never looked up there: by them libraries find out how to treat an object.
_READABLE = frozenset(
    f"__{name}__"
    for name in (
        *("name", "qualname", "doc", "module", "wrapped", "annotations", "defaults", "kwdefaults", "members", "slots"),
        *("version", "author", "all", "dict", "self", "func", "type_params", "abstractmethods"),
    )
)


class OtherClass(type):
    """The proxy of a class: calls and attribute access are performed in the other process."""

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
        require_readable(cls, name)
        return cls._redraft_peer.request("get", cls, name)


class RemoteClass(OtherClass):
    """The proxy of a class whose objects are proxies, too."""

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
    """The proxy of an object."""

    __slots__ = ("__weakref__", "_redraft_count", "_redraft_number", "_redraft_tainted")
    _redraft_class = 0

    def __getattr__(self, name: str) -> Any:
        require_readable(type(self), name)
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


def require_readable(owner: type, name: str) -> None:
    if name.startswith("_redraft_") or (name.startswith("__") and name.endswith("__") and name not in _READABLE):
        raise AttributeError(f"{owner.__name__!r} object has no attribute {name!r}")


def _same_objects(left: Remote, right: Remote) -> Any:
    """Compares objects of a dataclass by their fields in this process, and others in the other process."""
    description = type(left)._redraft_description
    if description.compared is not None:
        return type(left) is type(right) and all(
            getattr(left, name) == getattr(right, name) for name in description.compared
        )
    return type(left)._redraft_peer.special(left, "__eq__", right)
