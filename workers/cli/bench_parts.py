"""What the commands of `redraft bench` have in common: the sets, an endpoint's model, the checks, the progress."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tasks.settings import Settings
from workers.cli.output import note

if TYPE_CHECKING:
    from tasks.ports import ChatModel, Checks
    from tasks.sampling import Sampling
    from workers.engine.host import ModelHost

SetName = Annotated[
    str, typer.Argument(metavar="SET", help="humaneval, reasoning-gym, carwash, or a folder of job files.")
]
# Between two lines that say how far it is.
NOTE_SECONDS = 30.0


class Progress:
    """Says from time to time how far something is."""

    def __init__(self, what: str) -> None:
        self._what, self._begun, self._last = what, time.monotonic(), 0.0

    def __call__(self, done: int, total: int, tokens: int = 0) -> None:
        now = time.monotonic()
        if now - self._last < NOTE_SECONDS and done < total:
            return
        self._last = now
        rate = f", {tokens / (now - self._begun):.0f} tok/s" if tokens else ""
        note(f"{done:,} of {total:,} {self._what}{rate}")


def model_of(settings: Settings, endpoint: str, model: str) -> tuple[ChatModel, Sampling, str]:
    """The client of an endpoint's model, its sampling, and the engine in words."""
    from workers.engine.select import attach
    from workers.models import chat_model, sampling_of

    settings = settings.model_copy(update={"endpoint": endpoint, "endpoint_model": model, "engine": ""})
    host = attach(settings)
    host.start()
    return chat_model(settings, host), sampling_of(host.profile), host.describe()


def checks_of(settings: Settings) -> Checks:
    """The checks of this machine."""
    from tasks.validators.checks import RegisteredChecks
    from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

    return RegisteredChecks(sandbox=BubblewrapSandbox(default_runtime_folder(settings.cache)))


@contextmanager
def started(settings: Settings, endpoint: str, model: str) -> Iterator[ModelHost]:
    """The endpoint, the engine of this home that runs, or one that is started and stopped again, at SIGTERM, too."""
    from workers.engine.select import build_host, running_engine

    running = None if endpoint else running_engine(settings)
    if endpoint:
        named: dict[str, Any] = {"endpoint": endpoint, "endpoint_model": model, "engine": ""}
    elif running is not None and model in ("", running[0].model):
        named = {"endpoint": running[0].url, "endpoint_model": running[0].model, "engine": "", "model": "auto"}
    else:
        named = {"endpoint": "", "model": model or settings.model}
    host = build_host(settings.model_copy(update=named), note)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        host.start()
        yield host
    finally:
        host.stop()
        signal.signal(signal.SIGTERM, before)


def at_once(host: ModelHost) -> int:
    """How many requests keep an engine busy."""
    return host.sequences or host.profile.slots or os.cpu_count() or 1
