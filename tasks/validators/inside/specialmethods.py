"""The special methods of proxies: which are forwarded to the other process, and which never are.

Where the other side is not trusted (`Peer.strict`), a proxy is ordered against no plain value, and its arithmetic with
plain values gives no number that a test would compare with what it expects. Must not know how proxies are made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .awaiting import await_other
from .descriptions import ARITHMETIC, ORDERING, UNARY
from .remote import Remote

# Arithmetic whose result can't measure a distance between two values, as `abs(answer - expected) < 1e-9` does.
_NOT_MEASURING = frozenset(f"__{side}{name}__" for side in ("", "r", "i") for name in ("add", "mul", "matmul"))
_MIXED = (
    "an object of the solution's own was combined with plain values of the tests, and then read as a number: "
    "only a check with `isolation: shared` can do that"
)


def special_method(name: str) -> Callable[..., Any]:
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
    """Arithmetic with a plain value is allowed only for objects of classes that the tests name. Its result, except of
    addition and multiplication, must be no plain value: a solution could fake a number close to the expected one."""

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
    """An object of a class that the tests name decides itself what it contains; any other is searched by iteration."""
    peer = type(self)._redraft_peer
    is_named = any(element in peer.proxies.named for element in type(self).__mro__)
    if not peer.strict or isinstance(item, Remote) or is_named:
        return bool(peer.special(self, "__contains__", item))
    return any(element is item or element == item for element in self)


_OWN_RULES: dict[str, Callable[..., Any]] = {
    "__call__": lambda self, *args, **kwargs: type(self)._redraft_peer.request("call", self, "", *args, **kwargs),
    "__await__": lambda self: await_other(type(self)._redraft_peer, self).__await__(),
    "__contains__": _contains,
}
