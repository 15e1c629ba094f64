"""Downloads an engine and its model in the foreground: sizes first, then a bar, or off a terminal some lines."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tasks.errors import PartFailed
from tasks.settings import Settings
from workers.cli.output import note
from workers.engine.downloads import Arrivals, Download, missing, require_room
from workers.engine.hardware import Hardware
from workers.engine.placement import Choice
from workers.engine.select import backend_for, hardware_for, is_installed
from workers.engine.weights import download_hub

LINE_SECONDS, BAR_SECONDS = 5.0, 0.25
Say = Callable[[str], None]


def fetch_engine(settings: Settings, choice: Choice) -> None:
    """Downloads what is missing for a choice; does nothing where it is all there.

    Raises `PartFailed` where the memory or the disk is too small, before anything is downloaded, and where a download
    fails.
    """
    require_memory(choice, hardware_for(settings))
    backend = backend_for(choice, settings)
    downloads = missing(choice, settings.cache, installed=is_installed(choice, settings))
    if not downloads:
        return
    note(f"to download: {'; '.join(download.words for download in downloads)}")
    require_room(downloads)
    with _shown(downloads) as say:
        backend.prepare(choice, settings.cache, say)
        if any(download.from_hub for download in downloads):  # vLLM itself would, without a word
            download_hub(choice.profile, settings.cache, say)


def require_memory(choice: Choice, hardware: Hardware) -> None:
    """Raises `PartFailed` where other programs leave too little of the memory."""
    if choice.ram_gib > hardware.available_gib:
        raise PartFailed(
            f"{choice.profile.name} needs {choice.ram_gib:.1f} GiB of memory, and {hardware.available_gib:.1f} of "
            f"{hardware.ram_gib:.1f} GiB are free; end other programs, or take a smaller model (`redraft engine probe`)"
        )


@contextlib.contextmanager
def _shown(downloads: Sequence[Download]) -> Iterator[Say]:
    """Shows how much has arrived while the body runs; yields what prints a line beside that."""
    arrivals, done = Arrivals(downloads), threading.Event()
    total = sum(download.megabytes for download in downloads) * 1e6
    show = _bar if sys.stderr.isatty() else _lines
    with ThreadPoolExecutor(1, thread_name_prefix="progress") as pool:
        said: list[str] = []
        shown: Future[None] = pool.submit(show, arrivals, total, said, done)
        try:
            yield said.append if show is _bar else note
        finally:
            done.set()
    shown.result()


def _lines(arrivals: Arrivals, total: float, said: list[str], done: threading.Event) -> None:
    del said  # printed at once
    while not done.wait(LINE_SECONDS):
        before = arrivals.arrived
        if arrivals.count() > before:
            note(f"{arrivals.arrived / 1e6:,.0f} of {total / 1e6:,.0f} MB")


def _bar(arrivals: Arrivals, total: float, said: list[str], done: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("downloading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total or None)
        while not done.wait(BAR_SECONDS):
            _flush(said, lambda line: progress.console.print(line, markup=False, highlight=False))
            progress.update(task, completed=arrivals.count())
    _flush(said, note)


def _flush(said: list[str], write: Say) -> None:
    while said:
        write(said.pop(0))
