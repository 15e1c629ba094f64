"""What the shell offers for states, strategies, jobs and tags. Never raises and never writes: whoever presses TAB wants
no error. Imports little, for it runs at each press."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from tasks.errors import RedraftError

OFFERED = 100
# Of a title. Typer's script for zsh evaluates what is offered, and a backslash gets through its quoting; rich would
# take brackets for markup.
_LEFT_OUT = re.compile(r"[^\w .,:!?+=/()-]+")
TITLE_CHARACTERS = 60


def states(incomplete: str) -> list[str]:
    """Of jobs."""
    from tasks.kinds import JobState

    return [str(state) for state in JobState if state.startswith(incomplete)]


def strategies(incomplete: str) -> list[str]:
    """Those that are installed."""
    from importlib.metadata import entry_points

    names = sorted(entry_points(group="redraft.strategies").names)
    return [name for name in names if name.startswith(incomplete)]


def jobs(incomplete: str) -> list[tuple[str, str]]:
    """The newest jobs, each with its state and title."""
    from workers.cli.client import job_lines

    found: list[tuple[str, str]] = []
    with _quiet(), job_lines(name="redraft completion") as lines:
        found = [(str(job.job), f"{job.state}: {_plain(job.title)}") for job in lines.newest(limit=OFFERED)]
    return [(number, words) for number, words in found if number.startswith(incomplete)]


def tags(incomplete: str) -> list[str]:
    """The tags of the login's jobs."""
    from workers.cli.client import job_lines

    found: tuple[str, ...] = ()
    with _quiet(), job_lines(name="redraft completion") as lines:
        found = lines.tags(incomplete, OFFERED)
    return list(found)


def _plain(title: str) -> str:
    """What a shell may be told of it."""
    return " ".join(_LEFT_OUT.sub(" ", title).split())[:TITLE_CHARACTERS] or "-"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.suppress(RedraftError, OSError):
        yield
