"""All attacks, area by area, each on the real parts that it needs. Must not know how the outcome is shown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tasks.settings import load_settings
from tasks.store.migrate import upgrade
from tasks.store.roles import ensure_login
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.attacks import checks, database, files, grader, sandbox
from tests.attacks.attack import Attack
from workers.home import Home
from workers.local.postgres import EmbeddedPostgres

AREAS = ("grader", "checks", "sandbox", "database", "files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`through` is None where the attack was stopped."""

    area: str
    name: str
    through: str | None


def attacks(folder: Path, areas: Sequence[str], every: int = 1) -> Iterator[Attack]:
    """Each `every`th attack of each area. `folder` is for what they need on the disk."""
    for area in areas:
        with ExitStack() as stack:
            yield from itertools.islice(_SOURCES[area](folder, stack), 0, None, every)


def tried(attack: Attack) -> Outcome:
    """Makes it. A fault of the attack itself counts as got through: nobody has seen it stopped."""
    try:
        through = attack.attempt()
    except Exception as error:  # noqa: BLE001 - reported with its attack
        through = f"the attack failed: {type(error).__name__}: {error}"
    return Outcome(area=attack.area, name=attack.name, through=through)


def _real_sandbox() -> BubblewrapSandbox:
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


def _on_database(folder: Path, stack: ExitStack) -> Iterator[Attack]:
    home = Home(root=folder / "home")
    home.make()
    server = EmbeddedPostgres(home)
    server.start()
    stack.callback(server.stop)
    upgrade(server.url_of("redraft"))

    def submitter(name: str) -> str:
        ensure_login(server.url_of("redraft"), name, "secret", "redraft_submitter")
        return server.url_of("redraft", name, "secret")

    yield from database.attacks(server.url_of("redraft"), submitter)


def _on_files(folder: Path, _: ExitStack) -> Iterator[Attack]:
    place = folder / "files"
    place.mkdir()
    yield from files.attacks(place)


_SOURCES: dict[str, Callable[[Path, ExitStack], Iterator[Attack]]] = {
    "grader": lambda _folder, _stack: grader.attacks(_real_sandbox()),
    "checks": lambda _folder, _stack: checks.attacks(_real_sandbox()),
    "sandbox": lambda _folder, _stack: sandbox.attacks(_real_sandbox()),
    "database": _on_database,
    "files": _on_files,
}
