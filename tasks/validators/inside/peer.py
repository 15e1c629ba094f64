"""One of two processes that use each other's objects: it sends requests, answers them, and keeps the objects to which
the other side refers.

The tests' process and the candidate's each have a peer. An object that is no plain value stays in its process: the
other side gets its number and a description of its class, and makes a proxy of it (`proxies`). `permit` decides what
the other side may do to an object. Must not know pytest, nor what a solution is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from operator import is_
from typing import Any

from .awaiting import result_of
from .channels import Channel, Channels, ConnectionLost
from .descriptions import Description, container_base
from .forms import Decode, Encode, Form, Malformed
from .objects import Objects
from .proxies import Proxies
from .values import Decoder, Encoder

Permit = Callable[[str, Any, str], None]


class Peer:
    """It is `strict` where the other side is not trusted. `permit(operation, target, name)` raises an exception, which
    goes to the other side, where an operation is not allowed; `on_output` is called with what the other side printed
    since its last frame; lines of the source `file` are reported with exceptions of this side."""

    def __init__(
        self,
        channels: Channels,
        *,
        strict: bool,
        permit: Permit,
        on_output: Callable[[list[Any]], None] = lambda output: None,
        file: str = "",
    ) -> None:
        self.channels, self.strict, self._permit, self._on_output = channels, strict, permit, on_output
        self.output: list[Any] = []  # what this side printed, sent with the next frame
        self.objects = Objects(file)
        self.proxies = Proxies(self)
        self._lock = threading.RLock()
        self._released: list[tuple[int, int]] = []

    def request(self, operation: str, target: Any, name: str = "", *args: Any, **kwargs: Any) -> Any:
        """Performs an operation on an object of the other side and returns its result.

        Raises what was raised there, and `ConnectionLost` where the other side has ended or violates the protocol.
        """
        channel = self.channels.acquire()
        try:
            classes: list[Any] = []
            encoder = Encoder(self._writer(channel, classes))
            encode = encoder.encode
            pairs = [[key, encode(value)] for key, value in kwargs.items()]
            frame = [operation, encode(target), name, [encode(argument) for argument in args], pairs, classes]
            channel.send([*frame, *self._trailer()])
            while (reply := channel.receive())[0] not in ("ok", "no"):
                self.answer(channel, reply)
            outcome, value = self._checked(self._parse_reply, reply, encoder.containers)
        finally:
            self.channels.release(channel)
        if outcome == "no":
            raise value
        return value

    def special(self, proxy: Any, name: str, *args: Any) -> Any:
        """Calls a special method of an object of the other side."""
        return self.request("special", proxy, name, *args)

    def answer(self, channel: Channel, frame: list[Any]) -> None:
        """Performs a request of the other side and replies. Raises `ConnectionLost`."""
        self.channels.begin(channel)
        self.channels.end(channel, self._reply(channel, *self._checked(self._parse_request, frame)))

    def forget(self, number: int, count: int) -> None:
        """Notes that the proxy of the object with that number, which was received `count` times, has been deleted."""
        self._released.append((number, count))

    def _checked(self, parse: Callable[..., tuple[Any, ...]], *args: Any) -> tuple[Any, ...]:
        """The result of parsing a frame with `read`. Raises `ConnectionLost` where it is malformed."""
        try:
            return parse(*args)
        except (Malformed, ValueError, TypeError, LookupError, AttributeError) as error:
            raise ConnectionLost(f"it sent a malformed frame: {error}") from None

    def _parse_reply(self, reply: list[Any], containers: list[Any]) -> tuple[str, Any]:
        outcome, form, changes, *notes = reply
        self._handle_trailer(*notes)
        decoder = Decoder(self._read, containers)
        value = decoder.decode(form)
        for number, content in changes:
            decoder.update(containers[number], content)
        if outcome == "no" and not isinstance(value, BaseException):
            raise Malformed("what was raised is no exception")
        return outcome, value

    def _parse_request(self, frame: list[Any]) -> tuple[str, Any, str, list[Any], dict[str, Any], list[Any]]:
        operation, target_form, name, arg_forms, pair_forms, *notes = frame
        self._handle_trailer(*notes)
        # Else it could call `format` of a text, or a class.
        if type(target_form) is not list or target_form[0] != "yours":
            raise Malformed("the target is no object of this side")
        decoder = Decoder(self._read)
        target = decoder.decode(target_form)
        args = [decoder.decode(form) for form in arg_forms]
        kwargs = {str(key): decoder.decode(form) for key, form in pair_forms}
        return operation, target, name, args, kwargs, decoder.containers

    def _reply(
        self,
        channel: Channel,
        operation: str,
        target: Any,
        name: str,
        args: list[Any],
        kwargs: dict[str, Any],
        containers: list[Any],
    ) -> list[Any]:
        snapshots = [_snapshot(container) for container in containers]
        try:
            self._permit(operation, target, name)
            outcome, value = "ok", _perform(operation, target, name, args, kwargs)
        except ConnectionLost:
            raise
        except BaseException as error:  # noqa: BLE001 - any exception is raised again on the other side
            outcome, value = "no", error
        classes: list[Any] = []
        encoder = Encoder(self._writer(channel, classes), containers)
        try:
            form = encoder.encode(value)
        except Exception as error:  # noqa: BLE001 - the caller gets the error if the value can't be sent
            outcome, form = "no", encoder.encode(TypeError(f"the value can't be returned: {error}"))
        changes = [
            [number, encoder.content(container)]
            for number, (container, snapshot) in enumerate(zip(containers, snapshots, strict=True))
            if _differs(snapshot, _snapshot(container))
        ]
        return [outcome, form, changes, classes, *self._trailer()]

    def _trailer(self) -> tuple[list[Any], list[Any]]:
        """The end of every frame: deleted proxies, and printed text."""
        released, self._released = self._released, []
        output = self.output[:]
        del self.output[: len(output)]
        return [list(pair) for pair in released], output

    def _handle_trailer(self, classes: list[Any], released: list[Any], output: list[Any]) -> None:
        if classes or released:
            with self._lock:
                for number, description in classes:
                    self.proxies.add_class(number, Description.from_form(description))
                for number, count in released:
                    self.objects.release(number, count)
        if output:
            self._on_output(output)

    def _writer(self, channel: Channel, classes: list[Any]) -> Callable[[Any, Encode], Form]:
        def write(value: Any, encode: Encode) -> Form:
            number = self.proxies.number_of(value)
            if number is not None:
                return ["yours", number]
            with self._lock:
                return self.objects.write(value, encode, channel.described_classes, classes)

        return write

    def _read(self, form: list[Form], decode: Decode) -> Any:
        match form[0]:
            case "yours":
                return self.objects.of(form[1])
            case "class":
                return self.proxies.classes[form[1]]
            case "mine" | "generator" | "awaitable":
                return self.proxies.proxy_of(form[0], form[1], form[2])
            case "scalar":
                return self.proxies.scalar_of(form[1], form[2], decode(form[3]))
            case "error":
                return self.proxies.error_of(form, decode)
        raise Malformed(f"no tag: {form[0]!r}")


def _perform(operation: str, target: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:  # noqa: PLR0911
    match operation:
        case "call":
            return target(*args, **kwargs)
        case "method":
            return getattr(target, name)(*args, **kwargs)
        case "get":
            return getattr(target, name)
        case "set":
            return setattr(target, name, args[0])
        case "delete":
            return delattr(target, name)
        case "special":
            return getattr(type(target), name)(target, *args)
        case "copy":
            import copy

            return copy.deepcopy(target) if name == "deep" else copy.copy(target)
        case "content":
            base = container_base(type(target))
            return None if base is None else base(target)
        case "await":
            return result_of(target)
    raise Malformed(f"no operation: {operation!r}")


def _snapshot(container: Any) -> Any:
    """The items of a container, to be compared by identity, since `==` of a program's objects can't be trusted."""
    if isinstance(container, dict):
        return [item for pair in container.items() for item in pair]
    if hasattr(container, "tobytes"):
        return container.tobytes()
    return bytes(container) if isinstance(container, bytearray) else list(container)


def _differs(before: Any, after: Any) -> bool:
    if isinstance(before, bytes):
        return bool(before != after)
    return len(before) != len(after) or not all(map(is_, before, after))
