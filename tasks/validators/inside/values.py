"""Encodes plain values as JSON forms for the tests' process or the candidate's, and decodes them.

A scalar stands for itself; anything else is a list that begins with a tag. The decoder builds each value from types of
its own process, so that nothing of the other one (its `__eq__`, its `__hash__`) comes along. Mutable containers are
numbered in the order in which they occur, as one may occur in a value twice, or in itself, and the other side may
report how it changed one. Must not know pipes, proxies, nor in which process it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .forms import Decode, Encode, Form, Malformed
from .readers import CONTAINERS_BY_TAG, READERS, array_of
from .writers import ATOMS, CONTAINERS, LARGE, NAMED_WRITERS, WRITERS, write_array


class Encoder:
    """Encodes values. `other` encodes values that are not plain. `arguments` are containers that the other side knows
    by number, since it sent them."""

    def __init__(self, other: Callable[[Any, Encode], Form], arguments: list[Any] | None = None) -> None:
        self._other = other
        self.containers: list[Any] = []
        self._numbers: dict[int, Form] = {id(one): ["arg", number] for number, one in enumerate(arguments or ())}

    def encode(self, value: Any) -> Form:
        """The form of one value."""
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind is int:
            return value if -LARGE < value < LARGE else ["int", hex(value)]
        write = WRITERS.get(kind)
        if write is None:
            write = NAMED_WRITERS.get((kind.__module__, kind.__qualname__))
        if write is None:
            return self._other(value, self.encode)
        if kind not in CONTAINERS and write is not write_array:
            return write(value, self.encode)
        number = self._numbers.get(id(value))
        if number is None:
            self._numbers[id(value)] = ["ref", len(self.containers)]
            self.containers.append(value)  # a reference, so that no other object gets its id
            return write(value, self.encode)
        return number

    def content(self, container: Any) -> Form:
        """The form of the present content of a container that is itself an argument."""
        return WRITERS.get(type(container), write_array)(container, self.encode)


class Decoder:
    """Decodes values. `other` decodes forms whose tags are not those of plain values. `arguments`: see `Encoder`."""

    def __init__(self, other: Callable[[list[Form], Decode], Any], arguments: list[Any] | None = None) -> None:
        self._other, self._arguments = other, arguments or []
        self.containers: list[Any] = []

    def decode(self, form: Form) -> Any:
        """The value of a form. Raises `Malformed`."""
        if type(form) is not list:
            if type(form) is dict:
                raise Malformed("an object is no form")
            return form
        try:
            tag = form[0]
            if tag == "ref":
                return self.containers[form[1]]
            if tag == "arg":
                return self._arguments[form[1]]
            fill = CONTAINERS_BY_TAG.get(tag)
            if fill is not None:
                empty, add = fill
                container = empty(form)
                self.containers.append(container)
                add(container, form, self.decode)
                return container
            read = READERS.get(tag)
            return self._other(form, self.decode) if read is None else read(form, self.decode)
        except Malformed:
            raise
        except Exception as error:  # noqa: BLE001 - constructors raise what they like
            raise Malformed(f"{type(error).__name__}: {error}") from None

    def update(self, container: Any, form: list[Form]) -> None:
        """Replaces the content of `container` by that of `form`. Raises `Malformed`."""
        try:
            empty, add = CONTAINERS_BY_TAG[form[0]]
            if type(empty(form)) is not type(container):
                raise Malformed("a container became another kind")
            if form[0] == "array":
                container[...] = array_of(form)
                return
            content = empty(form)
            add(content, form, self.decode)
            container.clear()
            (container.update if hasattr(container, "update") else container.extend)(content)
        except Malformed:
            raise
        except Exception as error:  # noqa: BLE001 - constructors raise what they like
            raise Malformed(f"{type(error).__name__}: {error}") from None
