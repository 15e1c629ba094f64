"""One of two processes that use each other's objects: sends requests, answers them, keeps what the other holds.

Both the tests' process and the candidate's are one. An object that is no plain value stays where it is: the other side
gets its number and a description of its class, and makes a proxy of it (`proxies`). What the other side may do to an
object is for `permit` to say. Must not know pytest, nor what a solution is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from operator import is_
from typing import Any

from .awaiting import result_of
from .channels import Channel, Channels, Gone
from .descriptions import Description, kept_base
from .forms import Decode, Encode, Form, Malformed
from .objects import Objects
from .proxies import Proxies
from .values import Decoder, Encoder

Permit = Callable[[str, Any, str], None]


class Peer:
    """`strict` where the other side is not trusted. `permit(operation, target, name)` raises what the other side is
    told where it may not do something; `show` is called with what the other side wrote since its last frame; `file` is
    the source whose lines are named where an exception of this side goes over."""

    def __init__(
        self,
        channels: Channels,
        *,
        strict: bool,
        permit: Permit,
        show: Callable[[list[Any]], None] = lambda written: None,
        file: str = "",
    ) -> None:
        self.channels, self.strict, self._permit, self._show = channels, strict, permit, show
        self.written: list[Any] = []  # what this side wrote, for the other to show
        self.objects = Objects(file)
        self.proxies = Proxies(self)
        self._lock = threading.RLock()
        self._released: list[tuple[int, int]] = []

    def request(self, operation: str, target: Any, name: str = "", *args: Any, **kwargs: Any) -> Any:
        """Asks the other side to do something to an object, and gives back what came of it.

        Raises what was raised there, and `Gone` where the other side has ended or breaks the protocol.
        """
        channel = self.channels.take()
        try:
            classes: list[Any] = []
            encoder = Encoder(self._writer(channel, classes))
            encode = encoder.encode
            pairs = [[key, encode(value)] for key, value in kwargs.items()]
            frame = [operation, encode(target), name, [encode(one) for one in args], pairs, classes]
            channel.send([*frame, *self._notes()])
            while (reply := channel.receive())[0] not in ("ok", "no"):
                self.answer(channel, reply)
            outcome, value = self._understood(self._conclude, reply, encoder.containers)
        finally:
            self.channels.give(channel)
        if outcome == "no":
            raise value
        return value

    def special(self, proxy: Any, name: str, *args: Any) -> Any:
        """Calls a special method of the other side's object."""
        return self.request("special", proxy, name, *args)

    def answer(self, channel: Channel, frame: list[Any]) -> None:
        """Does what the other side asks for, and replies. Raises `Gone`."""
        self.channels.begin(channel)
        self.channels.end(channel, self._reply(channel, *self._understood(self._parsed, frame)))

    def forget(self, number: int, count: int) -> None:
        """The proxy of the object with that number, which had come `count` times, is no more."""
        self._released.append((number, count))

    def _understood(self, read: Callable[..., tuple[Any, ...]], *args: Any) -> tuple[Any, ...]:
        """What `read` makes of a frame. Raises `Gone` where it is none."""
        try:
            return read(*args)
        except (Malformed, ValueError, TypeError, LookupError, AttributeError) as error:
            raise Gone(f"it says what is no answer: {error}") from None

    def _conclude(self, reply: list[Any], containers: list[Any]) -> tuple[str, Any]:
        outcome, form, changes, *notes = reply
        self._take_notes(*notes)
        decoder = Decoder(self._read, containers)
        value = decoder.decode(form)
        for number, content in changes:
            decoder.update(containers[number], content)
        if outcome == "no" and not isinstance(value, BaseException):
            raise Malformed("what was raised is no exception")
        return outcome, value

    def _parsed(self, frame: list[Any]) -> tuple[str, Any, str, list[Any], dict[str, Any], list[Any]]:
        operation, target_form, name, arg_forms, pair_forms, *notes = frame
        self._take_notes(*notes)
        if type(target_form) is not list or target_form[0] != "yours":  # a text has a method `format`, a class a call
            raise Malformed("what is asked for is no object of this side")
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
        snapshots = [_snapshot(one) for one in containers]
        try:
            self._permit(operation, target, name)
            outcome, value = "ok", _perform(operation, target, name, args, kwargs)
        except Gone:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's, on the other side
            outcome, value = "no", error
        classes: list[Any] = []
        encoder = Encoder(self._writer(channel, classes), containers)
        try:
            form = encoder.encode(value)
        except Exception as error:  # noqa: BLE001 - what can't go over is the caller's too
            outcome, form = "no", encoder.encode(TypeError(f"the value can't be given back: {error}"))
        changes = [
            [number, encoder.content(one)]
            for number, (one, snapshot) in enumerate(zip(containers, snapshots, strict=True))
            if _differs(snapshot, _snapshot(one))
        ]
        return [outcome, form, changes, classes, *self._notes()]

    def _notes(self) -> tuple[list[Any], list[Any]]:
        """What goes along with every frame: proxies that are no more, and what was written."""
        released, self._released = self._released, []
        written = self.written[:]
        del self.written[: len(written)]
        return [list(pair) for pair in released], written

    def _take_notes(self, classes: list[Any], released: list[Any], written: list[Any]) -> None:
        if classes or released:
            with self._lock:
                for number, description in classes:
                    self.proxies.learn(number, Description.from_form(description))
                for number, count in released:
                    self.objects.release(number, count)
        if written:
            self._show(written)

    def _writer(self, channel: Channel, classes: list[Any]) -> Callable[[Any, Encode], Form]:
        def write(value: Any, encode: Encode) -> Form:
            number = self.proxies.number_of(value)
            if number is not None:
                return ["yours", number]
            with self._lock:
                return self.objects.write(value, encode, channel.described, classes)

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
            base = kept_base(type(target))
            return None if base is None else base(target)
        case "await":
            return result_of(target)
    raise Malformed(f"no operation: {operation!r}")


def _snapshot(container: Any) -> Any:
    """What a container holds, by identity: `==` of what a program made can say anything."""
    if isinstance(container, dict):
        return [one for pair in container.items() for one in pair]
    if hasattr(container, "tobytes"):
        return container.tobytes()
    return bytes(container) if isinstance(container, bytearray) else list(container)


def _differs(before: Any, after: Any) -> bool:
    if isinstance(before, bytes):
        return bool(before != after)
    return len(before) != len(after) or not all(map(is_, before, after))
