"""Finds or makes the proxy for each object of the other process, by its number.

Must not know pipes, nor how objects are written.
"""

from __future__ import annotations

import types
import weakref
from typing import TYPE_CHECKING, Any

from .awaiting import await_other
from .descriptions import Description
from .forms import Decode, Form, Malformed
from .plainclasses import type_of_form
from .remote import Remote, RemoteClass
from .remoteclasses import error_class, new_error, object_class, scalar_class

if TYPE_CHECKING:
    from .peer import Peer


class Proxies:
    """All proxies of a process. `named` are the classes whose names occur in the tests: see `specialmethods`."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.classes: dict[int, type] = {}
        self.named: set[type] = set()
        self._proxies: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._wrappers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # of wrapped objects
        self._scalars: dict[tuple[int, type], type] = {}
        self._members: dict[int, Any] = {}  # of enumerations, which are compared by `is`

    def number_of(self, value: Any) -> int | None:
        """The number of an object of the other side; None for an object of this side."""
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

    def add_class(self, number: int, description: Description) -> None:
        """Makes a proxy class for the class with that number, unless there is one. Raises `Malformed`."""
        if number in self.classes:
            return
        bases = tuple(self.classes[form[1]] if form[0] == "class" else type_of_form(form) for form in description.bases)
        build = error_class if description.kind == "error" else object_class
        self.classes[number] = build(self._peer, number, description, bases)

    def proxy_of(self, tag: str, number: int, class_number: int) -> Any:
        """The proxy of an object; the same one as long as it exists."""
        kind = self.classes[class_number]
        proxy: Any = self._proxies.get(number)
        if proxy is None:
            if not isinstance(kind, RemoteClass):
                raise Malformed("no class of objects")
            proxy = object.__new__(kind)  # type: ignore[arg-type]
            proxy._redraft_number, proxy._redraft_count, proxy._redraft_tainted = number, 1, False
            self._proxies[number] = proxy
        else:
            proxy._redraft_count += 1
        return proxy if tag == "mine" else self._wrapper(tag, number, proxy)

    def _wrapper(self, tag: str, number: int, proxy: Remote) -> Any:
        wrapper = self._wrappers.get(number)
        if wrapper is None:
            wrapper = _generate(self._peer, proxy) if tag == "generator" else await_other(self._peer, proxy)
            self._wrappers[number], self._numbers[wrapper] = wrapper, number
        return wrapper

    def scalar_of(self, number: int, class_number: int, value: Any) -> Any:
        """A plain value that also has the methods of the object on the other side."""
        kind = self.classes[class_number]
        if number in self._members:
            return self._members[number]
        if not isinstance(kind, RemoteClass) or type(value) not in _SCALAR_TYPES:
            raise Malformed("no scalar")
        proxy = self.proxy_of("mine", number, class_number)
        local = self._scalars.get((class_number, type(value)))
        if local is None:
            local = self._scalars[class_number, type(value)] = scalar_class(kind, type(value))
        scalar: Any = type(value).__new__(local, value)
        scalar._redraft_proxy = proxy
        if kind._redraft_description.single:
            self._members[number] = scalar
        return scalar

    def error_of(self, form: list[Form], decode: Decode) -> BaseException:
        """An exception of the other side, with its class, text, arguments and attributes."""
        _, kind_form, number, args_form, attributes_form, text, cause_form, location = form
        kind, args, attributes = decode(kind_form), decode(args_form), decode(attributes_form)
        if not (isinstance(kind, type) and issubclass(kind, BaseException) and type(args) is tuple):
            raise Malformed("no exception")
        error = new_error(kind, args)
        vars(error).update({name: value for name, value in attributes.items() if not name.startswith("_")})
        vars(error).update(_redraft_text=str(text), _redraft_place=location)
        if number:
            vars(error)["_redraft_number"] = number
        cause = decode(cause_form)
        if isinstance(cause, BaseException):
            error.__cause__ = cause
        return error


_SCALAR_TYPES = (int, float, complex, str, bytes, tuple, frozenset)


def _generate(peer: Peer, proxy: Remote) -> Any:
    """A generator that runs a generator of the other side."""
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
