"""`redraft watch` on a terminal: looks every second, moves with the keys, and gives the screen back at the end. Reads
what it shows and no more, however many jobs are followed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from tasks.errors import NoSuchJob
from tasks.follow import Patient
from workers.cli.estimate import of_totals
from workers.cli.keys import Key, Keys, pressed_on
from workers.cli.rates import Rates
from workers.cli.watchview import Look, rows_shown, view

if TYPE_CHECKING:
    from tasks.store.joblines import JobLines, Totals

LOOK_SECONDS = 1.0


class Watch:
    """What is followed: `jobs`, or all that are unfinished and those that end meanwhile."""

    def __init__(self, lines: JobLines, jobs: Sequence[int] | None, *, keys: bool) -> None:
        self._lines, self._jobs, self._keys = lines, jobs, keys
        self._rates, self._patient = Rates(), Patient()
        self._since = self._patient(lines.now)
        self._first: Totals | None = None
        self.offset = 0

    def look(self, rows: int) -> Look:
        """What is to be shown now, `rows` jobs of it. Raises `DatabaseUnavailable`, `NoSuchJob`."""
        return self._patient(lambda: self._look(rows))

    def move(self, keys: Sequence[Key], look: Look, rows: int) -> None:
        """Moves the page."""
        last = max(0, look.number - rows)
        for key in keys:
            steps = {Key.UP: -1, Key.DOWN: 1, Key.PAGE_UP: -rows, Key.PAGE_DOWN: rows, Key.HOME: -last, Key.END: last}
            self.offset = min(last, max(0, self.offset + steps.get(key, 0)))

    def _look(self, rows: int) -> Look:
        lines, totals = self._lines, self._lines.totals(self._jobs, since=self._since)
        if self._first is None:
            self._first = totals
            if self._jobs is not None and (missing := lines.missing(self._jobs)):
                raise NoSuchJob(missing[0])
        return Look(
            jobs=lines.followed(self._jobs, since=self._since, offset=self.offset, limit=rows),
            totals=totals,
            rates=self._rates.feed(lines.working()),
            workers=lines.workers(),
            left=of_totals(self._first, totals),
            offset=self.offset,
            keys=self._keys,
        )


def watch_live(lines: JobLines, jobs: Sequence[int] | None) -> bool:
    """Shows jobs until all are finished, or a person leaves with `q`; the last table stays on the terminal. False where
    there was nothing to follow."""
    console = Console()
    with pressed_on() as keys:
        watch = Watch(lines, jobs, keys=keys.readable)
        look = watch.look(console.height)
        if not look.number:
            return False
        with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
            look = _until_done(watch, look, keys, console, live)
    console.print(view(look, width=console.width, height=console.height - 1))
    return True


def _until_done(watch: Watch, look: Look, keys: Keys, console: Console, live: Live) -> Look:
    """Looks and shows; the last look."""
    while True:
        width, height = console.size
        live.update(view(look, width=width, height=height), refresh=True)
        if not look.totals.unfinished:
            return look
        rows, until = rows_shown(look, width=width, height=height), time.monotonic() + LOOK_SECONDS
        pressed = keys.wait(LOOK_SECONDS)
        if Key.QUIT in pressed:
            return look
        watch.move(pressed, look, rows)
        if not pressed:
            time.sleep(max(0.0, until - time.monotonic()))
        look = watch.look(height)
